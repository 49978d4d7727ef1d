// The client, with a stand-in for the editor: which command is started, and what is told when it
// cannot be.
'use strict';

const assert = require('node:assert');
const Module = require('node:module');
const test = require('node:test');

/** An editor with these settings; what the extension did with it. */
function editor(settings, fails) {
  const did = { clients: [], stopped: 0, messages: [], commands: {} };
  let changed;
  const vscode = {
    workspace: {
      getConfiguration: () => ({ get: (name, otherwise) => settings[name] ?? otherwise }),
      workspaceFolders: [{ uri: { scheme: 'file', fsPath: '/project' } }],
      onDidChangeConfiguration: (listener) => {
        changed = listener;
        return { dispose() {} };
      },
    },
    window: { showErrorMessage: async (message) => void did.messages.push(message) },
    commands: {
      registerCommand: (name, run) => {
        did.commands[name] = run;
        return { dispose() {} };
      },
      executeCommand: async () => {},
    },
  };
  class LanguageClient {
    constructor(id, name, server, client) {
      did.clients.push({ id, server, client });
    }
    async start() {
      if (fails) throw new Error('spawn flow ENOENT');
    }
    async stop() {
      did.stopped += 1;
    }
  }
  const stubs = {
    vscode,
    'vscode-languageclient/node': { LanguageClient, TransportKind: { stdio: 0 } },
  };
  const load = Module._load;
  Module._load = (request, ...rest) => stubs[request] ?? load(request, ...rest);
  delete require.cache[require.resolve('../src/extension.js')];
  const extension = require('../src/extension.js');
  Module._load = load;
  return { did, extension, change: (name) => changed({ affectsConfiguration: (n) => n === name }) };
}

test('the command of the settings is started in the project', async () => {
  const { did, extension } = editor({ path: '/opt/flow', arguments: ['--local', 'data'] });
  await extension.activate({ subscriptions: [] });
  const [{ server, client }] = did.clients;
  assert.equal(server.command, '/opt/flow');
  assert.deepEqual(server.args, ['lsp', '--local', 'data']);
  assert.equal(server.options.cwd, '/project');
  assert.deepEqual(client.documentSelector, [{ language: 'flow' }]);
  await extension.deactivate();
  assert.equal(did.stopped, 1);
});

test('settings that matter restart it, others do not', async () => {
  const { did, extension, change } = editor({});
  await extension.activate({ subscriptions: [] });
  await change('editor.fontSize');
  assert.equal(did.clients.length, 1);
  await change('flow.path');
  await did.commands['flow.restart']();
  assert.deepEqual([did.clients.length, did.stopped], [3, 2]);
});

test('a command that is not there is told with the way out', async () => {
  const { did, extension } = editor({}, true);
  await extension.activate({ subscriptions: [] });
  await new Promise(setImmediate);
  assert.equal(did.messages.length, 1);
  assert.match(did.messages[0], /ENOENT.*flow\.path/);
});
