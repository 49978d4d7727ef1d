// Makes syntaxes/flow.tmLanguage.json from the language's own grammar: its keywords are the rules
// `k_…` of grammar/flow.pest. `node scripts/grammar.js` writes the file.
'use strict';

const fs = require('node:fs');
const path = require('node:path');

const PEST = path.join(__dirname, '../../../grammar/flow.pest');
const TARGET = path.join(__dirname, '../syntaxes/flow.tmLanguage.json');

/** Keywords that are more often names or types; colours cannot tell which. */
const NOT_KEYWORDS = new Set(
  ('char character binary columns comment date double groups hash index json key language match ' +
    'no of one others past pattern per plan range time timestamp timestamp_ltz timestamptz uuid ' +
    'varying zone').split(' '),
);

const TYPES =
  'boolean tinyint smallint int integer bigint real float double decimal numeric string varchar ' +
  'char text bytes varbinary binary date time timestamp timestamp_ltz timestamptz interval uuid ' +
  'json array map row struct multiset';

const CONSTANTS = ['true', 'false', 'null', 'unknown'];
const OPERATORS = 'and or not in is like ilike similar between exists distinct escape any some all'.split(' ');

/** The keywords of a grammar, sorted. */
function keywords(pest) {
  return [...pest.matchAll(/^k_(\w+) = /gm)].map((match) => match[1]).sort();
}

/** Any of these words, whole. */
function anyOf(words) {
  const longestFirst = [...words].sort((a, b) => b.length - a.length || (a < b ? -1 : 1));
  return `(?i)(?<![\\w.$])(?:${longestFirst.join('|')})(?![\\w$])`;
}

/** The TextMate grammar for a pest grammar. */
function grammar(pest) {
  const other = new Set([...NOT_KEYWORDS, ...CONSTANTS, ...OPERATORS, ...TYPES.split(' ')]);
  const plain = keywords(pest).filter((word) => !other.has(word));
  const quoted = (name, quote, scope) => ({
    name: scope,
    begin: quote,
    end: `${quote}(?!${quote})`,
    patterns: [{ name: `constant.character.escape.${name}.flow`, match: `${quote}${quote}` }],
  });
  return {
    $schema: 'https://raw.githubusercontent.com/martinring/tmlanguage/master/tmlanguage.json',
    name: 'Flow',
    scopeName: 'source.flow',
    fileTypes: ['flow'],
    patterns: [
      { name: 'comment.line.double-dash.flow', match: '--.*$' },
      { name: 'comment.block.flow', begin: '/\\*', end: '\\*/' },
      {
        name: 'string.quoted.single.escaped.flow',
        begin: "(?<![\\w$])[eE]'",
        end: "'(?!')",
        patterns: [{ name: 'constant.character.escape.flow', match: "\\\\.|''" }],
      },
      { name: 'constant.other.bytes.flow', match: "(?<![\\w$])[xX]'[^']*'" },
      {
        name: 'string.quoted.single.flow',
        begin: "'",
        end: "'(?!')",
        patterns: [
          { name: 'constant.character.escape.flow', match: "''" },
          { name: 'variable.other.placeholder.flow', match: '\\$\\{[^}\']*\\}' },
        ],
      },
      quoted('name', '"', 'variable.other.quoted.flow'),
      quoted('name', '`', 'variable.other.quoted.flow'),
      {
        name: 'constant.numeric.flow',
        match: '(?<![\\w$.])(?:\\d+(?:\\.\\d*)?|\\.\\d+)(?:[eE][+-]?\\d+)?(?![\\w$])',
      },
      { name: 'constant.language.flow', match: anyOf(CONSTANTS) },
      { name: 'keyword.operator.word.flow', match: anyOf(OPERATORS) },
      { name: 'keyword.control.flow', match: anyOf(plain) },
      { name: 'support.function.flow', match: '[\\p{L}_][\\p{L}\\p{N}_$]*(?=\\s*\\()' },
      { name: 'storage.type.flow', match: anyOf(TYPES.split(' ')) },
      { name: 'keyword.operator.flow', match: '\\|\\||::|=>|->|:=|<=|>=|<>|!=|==|[-+*/%<>=]' },
      { name: 'punctuation.terminator.statement.flow', match: ';' },
      { name: 'punctuation.separator.flow', match: '[,.]' },
    ],
  };
}

/** The file's text. */
function text() {
  return `${JSON.stringify(grammar(fs.readFileSync(PEST, 'utf8')), null, 2)}\n`;
}

if (require.main === module) {
  fs.writeFileSync(TARGET, text());
}

module.exports = { keywords, text, PEST, TARGET };
