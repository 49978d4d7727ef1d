// The TextMate grammar: it is what the script makes, and it colours programs as meant.
'use strict';

const assert = require('node:assert');
const fs = require('node:fs');
const path = require('node:path');
const test = require('node:test');
const oniguruma = require('vscode-oniguruma');
const textmate = require('vscode-textmate');

const { keywords, text, PEST, TARGET } = require('../scripts/grammar.js');

const EXAMPLES = path.join(__dirname, '../../../examples');

async function tokenizer() {
  const wasm = fs.readFileSync(require.resolve('vscode-oniguruma/release/onig.wasm')).buffer;
  await oniguruma.loadWASM(wasm);
  const registry = new textmate.Registry({
    onigLib: Promise.resolve({
      createOnigScanner: (patterns) => new oniguruma.OnigScanner(patterns),
      createOnigString: (line) => new oniguruma.OnigString(line),
    }),
    loadGrammar: async () => textmate.parseRawGrammar(text(), 'flow.json'),
  });
  return registry.loadGrammar('source.flow');
}

/** (text, innermost scope) of each token that is not blank. */
function tokens(grammar, source) {
  let stack = textmate.INITIAL;
  const found = [];
  for (const line of source.split('\n')) {
    const { tokens, ruleStack } = grammar.tokenizeLine(line, stack);
    stack = ruleStack;
    for (const token of tokens) {
      const piece = line.slice(token.startIndex, token.endIndex);
      if (piece.trim() !== '') {
        found.push([piece.trim(), token.scopes.at(-1)]);
      }
    }
  }
  return found;
}

test('the grammar is what the script makes of grammar/flow.pest', () => {
  assert.equal(fs.readFileSync(TARGET, 'utf8'), text(), 'run npm run grammar');
  const words = keywords(fs.readFileSync(PEST, 'utf8'));
  assert.ok(words.length > 100 && words.includes('select'));
});

test('programs are coloured', async (t) => {
  const grammar = await tokenizer();
  const scopeOf = (source, piece) => {
    const found = tokens(grammar, source).find(([written]) => written === piece);
    assert.ok(found, `${piece} in ${JSON.stringify(tokens(grammar, source))}`);
    return found[1];
  };
  const program = "SELECT o.id, UPPER(name) AS n, 'it''s ${X}' FROM orders AS o -- why\nWHERE x > 1.5e3;";
  await t.test('words', () => {
    assert.equal(scopeOf(program, 'SELECT'), 'keyword.control.flow');
    assert.equal(scopeOf(program, 'UPPER'), 'support.function.flow');
    assert.equal(scopeOf(program, '-- why'), 'comment.line.double-dash.flow');
    assert.equal(scopeOf(program, '1.5e3'), 'constant.numeric.flow');
    assert.equal(scopeOf('x IS NOT NULL', 'NULL'), 'constant.language.flow');
    assert.equal(scopeOf('a BIGINT', 'BIGINT'), 'storage.type.flow');
  });
  await t.test('strings end where they end', () => {
    assert.equal(scopeOf(program, "''"), 'constant.character.escape.flow');
    assert.equal(scopeOf(program, '${X}'), 'variable.other.placeholder.flow');
    assert.equal(scopeOf(program, 'FROM'), 'keyword.control.flow');
    assert.equal(scopeOf("E'a\\'b' FROM", 'FROM'), 'keyword.control.flow');
    assert.equal(scopeOf('"from" FROM', 'FROM'), 'keyword.control.flow');
    assert.equal(scopeOf('/* a\n FROM */ WHERE', 'WHERE'), 'keyword.control.flow');
  });
  await t.test('a word behind a dot is a name', () => {
    assert.equal(scopeOf('t.select', 'select'), 'source.flow');
  });
  await t.test('every example ends in no string or comment', () => {
    const files = fs.readdirSync(EXAMPLES, { recursive: true }).filter((f) => f.endsWith('.flow'));
    assert.ok(files.length > 0);
    for (const file of files) {
      const source = fs.readFileSync(path.join(EXAMPLES, file), 'utf8').trimEnd();
      const [, scope] = tokens(grammar, source).at(-1);
      assert.match(scope, /terminator|comment/, file);
    }
  });
});
