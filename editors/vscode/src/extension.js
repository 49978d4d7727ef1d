// Starts `flow lsp` for .flow files and talks to it. Everything about the language is the server's.
'use strict';

const vscode = require('vscode');
const { LanguageClient, TransportKind } = require('vscode-languageclient/node');

/** The running client, if there is one. */
let client;

/** How the server is started, by the user's settings. */
function serverOptions() {
  const settings = vscode.workspace.getConfiguration('flow');
  const folder = vscode.workspace.workspaceFolders?.[0]?.uri;
  return {
    command: settings.get('path', 'flow'),
    args: ['lsp', ...settings.get('arguments', [])],
    transport: TransportKind.stdio,
    options: {
      cwd: folder?.scheme === 'file' ? folder.fsPath : undefined,
      env: { ...process.env, ...settings.get('environment', {}) },
    },
  };
}

async function start() {
  const clientOptions = {
    documentSelector: [{ language: 'flow' }],
    outputChannelName: 'Flow',
  };
  client = new LanguageClient('flow', 'Flow', serverOptions(), clientOptions);
  try {
    await client.start();
  } catch (error) {
    client = undefined;
    const settings = 'Open Settings';
    const chosen = await vscode.window.showErrorMessage(
      `flow lsp cannot be started: ${error.message ?? error}. Install flow, or set flow.path.`,
      settings,
    );
    if (chosen === settings) {
      await vscode.commands.executeCommand('workbench.action.openSettings', 'flow.path');
    }
  }
}

async function stop() {
  const running = client;
  client = undefined;
  await running?.stop();
}

async function restart() {
  await stop();
  await start();
}

async function activate(context) {
  context.subscriptions.push(
    vscode.commands.registerCommand('flow.restart', restart),
    vscode.workspace.onDidChangeConfiguration((event) => {
      const ours = ['flow.path', 'flow.arguments', 'flow.environment'];
      if (ours.some((name) => event.affectsConfiguration(name))) {
        return restart();
      }
      return undefined;
    }),
  );
  // An error message waits for its reader; activation does not.
  start();
}

module.exports = { activate, deactivate: stop };
