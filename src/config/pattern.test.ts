import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatDiagnostic } from '../base/problem.ts'
import { IP, NUMBER, PORT } from './argument.ts'
import type { ArgumentKind, Arguments, CommandSpec, Grammar } from './grammar.ts'
import { complete, help } from './help.ts'
import { parseLine } from './parse.ts'

/** A grammar whose commands note what they were given. */
function grammar(
  syntaxes: readonly (string | Partial<CommandSpec<string>>)[],
  note: (args: Arguments) => string = () => 'taken',
  kinds: readonly ArgumentKind[] = [],
): Grammar<string> {
  const commands = syntaxes.map((given): CommandSpec<string> => {
    const spec = typeof given === 'string' ? { syntax: given } : given
    const syntax = spec.syntax ?? ''
    return { help: '', apply: (_, args) => `${syntax}: ${note(args)}`, show: () => [], ...spec, syntax }
  })
  return { name: 'patterns', empty: '', commands, kinds }
}

function read(grammar: Grammar<string>, line: string): string {
  const { config, problems } = parseLine(grammar, '', line)
  return problems.length > 0 ? problems.map(formatDiagnostic).join('\n') : config
}

test('optional parts, nested ones too, may be left out from the end or in the middle', () => {
  const optional = grammar(['go <real-ip> [netmask <mask>] [<max:number> [<embryonic:number>]]'], args =>
    JSON.stringify([
      args.text('real-ip'),
      args.optional('mask') ?? null,
      args.number('max', 7),
      args.number('embryonic'),
    ]),
  )
  const said = (line: string): string => read(optional, line).replace(/^.*?: /, '')
  assert.equal(said('go 10.0.0.1'), '["10.0.0.1",null,7,0]')
  assert.equal(said('go 10.0.0.1 netmask 255.0.0.0'), '["10.0.0.1","255.0.0.0",7,0]')
  assert.equal(said('go 10.0.0.1 1 2'), '["10.0.0.1",null,1,2]')
  assert.equal(said('go 10.0.0.1 netmask 255.0.0.0 1'), '["10.0.0.1","255.0.0.0",1,0]')
})

test('a choice of words is asked for by has(), a named one by its name', () => {
  const choices = grammar(['go <how:fast|slow> here|there [quietly] [in <in:name>]'], args =>
    [args.text('how'), args.has('here'), args.has('there'), args.has('quietly'), args.has('in')].join(' '),
  )
  assert.match(read(choices, 'go fast there quietly'), /: fast false true true false$/)
  assert.match(read(choices, 'go slow here in town'), /: slow true false false true$/)
})

test('parts inside one word are cut at the marks between them', () => {
  const parts = grammar(['go (<a:name>,<b:name>) <low:number>-<high:number>/<rest:word>'], args =>
    [
      args.text('a'),
      args.text('b'),
      args.number('low'),
      args.number('high'),
      args.text('rest'),
      args.at('b').column,
    ].join(),
  )
  assert.match(read(parts, 'go (in,out) 1-2/3/4'), /: in,out,1,2,3\/4,8$/)
  for (const wrong of ['(in,out', '(in)', '()', '(in,out)x', '(,']) {
    assert.match(read(parts, `go ${wrong} 1-2/3`), /^console:1:4: error: /)
  }
})

test('a placeholder may take the rest of the line, also one that is no kind of its own', () => {
  const rest = grammar(['say <what...>', 'port [<port...>]'], args =>
    args.has('what') ? args.text('what') : 'nothing',
  )
  assert.equal(read(rest, 'say it  loud'), 'say <what...>: it  loud')
  assert.equal(
    read(rest, 'port 25 26'),
    `\
console:1:6: error: "25 26" is not a port
   port 25 26
        ^~~~~  expected 1 to 65535, or ftp, ssh, telnet, smtp, domain, www, pop3, imap4, ldap, https`,
  )
})

test('the command with the most words of its own is meant; of equals, the first', () => {
  const general = grammar([
    'fixup protocol <protocol:name> <port>',
    'fixup protocol smtp <port>',
    'fixup protocol smtp <port:number>',
  ])
  assert.match(read(general, 'fixup protocol smtp 25'), /^fixup protocol smtp <port>:/)
  assert.match(read(general, 'fixup protocol ftp 21'), /^fixup protocol <protocol:name>/)
  assert.match(read(general, 'fixup protocol "smtp" 25'), /^fixup protocol <protocol:name>/)
})

test('two kinds that both refuse a word are named together', () => {
  const two = grammar(['go <ip>', 'go <port>'])
  assert.equal(
    read(two, 'go 10.0.0.256'),
    `\
console:1:4: error: "10.0.0.256" does not fit here
   go 10.0.0.256
      ^~~~~~~~~~  expected <ip> or <port>`,
  )
})

test('many optional parts cost one look per part and word, not one per way through them', () => {
  let looks = 0
  const counted: ArgumentKind<string> = {
    name: 'counted',
    help: 'anything but z',
    read(word) {
      looks++
      return word === 'z' ? { wrong: 'z is the end' } : { value: word }
    },
  }
  const parts = Array.from({ length: 40 }, (_, i) => `[<a${i}:counted>] [{b | b b | <b${i}:counted>}]`)
  const many = grammar([`go ${parts.join(' ')} stop`], () => 'taken', [counted])
  assert.match(read(many, `go ${'a '.repeat(60)}z`), /error: z is the end/)
  assert.ok(looks <= 80 * 61, `${looks} looks`)
  assert.match(read(many, `go ${'b '.repeat(60)}stop`), /taken$/)
})

test('a mistake in a syntax line is found at the first use, whatever the line was', () => {
  const mistakes = {
    'go <nowhere>': /no kind is called "nowhere" \(known: word, name/,
    'go <a:nowhere>': /no kind is called "nowhere"/,
    'go [<ip>': /a "\]" is missing/,
    'go {a | b': /a "}" is missing/,
    'go <ip>]': /"]" is not expected/,
    'go a |b': /a choice of words is written a\|b/,
    'go <ip><mask>': /a mark must stand between/,
    'go x<text...>': /must be a word of its own/,
    'go <>': /"<>" is not a placeholder/,
    'go <a:b|>': /a word of <a> is empty/,
    '<ip> go': /its first word must be a word of the command/,
    '[go]': /its first word must be a word of the command/,
    '': /its first word must be a word of the command/,
  }
  for (const [syntax, message] of Object.entries(mistakes)) {
    assert.throws(() => read(grammar([syntax]), 'x'), message, syntax)
  }
})

test('a command that asks for what its syntax does not name is wrong, and hears so', () => {
  const asking = (ask: (args: Arguments) => unknown) => () =>
    read(
      grammar(['go ip [<ip>] [fast] [<max:number>]'], args => String(ask(args))),
      'go ip 10.0.0.1',
    )
  assert.throws(
    asking(args => args.text('pi')),
    /postern is wrong here: nothing is called <pi> in "go ip \[<ip>\] \[fast\] \[<max:number>\]"/,
  )
  assert.throws(
    asking(args => args.text('fast')),
    /nothing is called <fast>/,
  )
  assert.throws(
    asking(args => args.has('slow')),
    /there is neither <slow> nor the word "slow"/,
  )
  assert.throws(
    asking(args => args.get('ip', PORT)),
    /<ip> is not of kind "port"/,
  )
  assert.throws(
    asking(args => args.number('ip')),
    /<ip> is no number/,
  )
  assert.equal(asking(args => args.get('ip', IP))(), 'go ip [<ip>] [fast] [<max:number>]: 10.0.0.1')
  assert.match(asking(args => args.get('max', NUMBER))(), /undefined$/)
})

test('a placeholder that was left out is not mistaken for a word of the same name', () => {
  const same = grammar(['go ip [<ip>]'], args => `${args.optional('ip')} ${args.has('ip')} ${args.at('ip').column}`)
  assert.match(read(same, 'go ip'), /: undefined false 1$/)
  assert.match(read(same, 'go ip 10.0.0.1'), /: 10\.0\.0\.1 true 7$/)
})

test('help explains placeholders by what the command says of them', () => {
  const told = grammar([{ syntax: 'go (<a:name>,<b:name>)', help: 'Go', words: { a: 'from here', b: 'to there' } }])
  assert.deepEqual(help(told, 'go ?'), ['(<a>,<b>)   from here; to there'])
  assert.deepEqual(complete(told, 'go '), [])
  assert.deepEqual(help(grammar([]), '?'), [])
})
