import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyTyped } from './any-sample.test.ts'
import { complete, help } from './help.ts'
import { parseLine } from './parse.ts'
import { EMPTY, SAMPLE } from './sample.test.ts'

function asked(typed: string): string {
  return help(SAMPLE, typed).join('\n')
}

test('? alone lists the commands, and no', () => {
  assert.equal(
    asked('?'),
    `\
nameif         Name an interface, and say how far it is trusted
hostname       The name this firewall gives itself
fixup          Inspect SMTP on these ports
access-list    Say which connections may exist; the first line that fits decides
ip             address, audit
static         Let an address of one interface be seen as another on a second one
access-group   Judge what enters by an interface with an access list
banner         What a console says to whom it greets
no             Undo a command`,
  )
})

test('? after a blank lists what may come next, and <cr> where the line may end', () => {
  assert.equal(asked('fixup protocol smtp ?'), '<ports>   a port or a range of ports, such as 25 or 25-26')
  assert.equal(asked('fixup protocol smtp 25 ?'), '<cr>')
  assert.equal(
    asked('access-list IN permit tcp ?'),
    `\
any        Any address
host       One address
<source>   an IP address, such as 10.54.7.1 or 2001:db8::1`,
  )
  assert.equal(
    asked('static (inside,vpn) 10.0.0.1 10.0.0.1 ?'),
    `\
netmask   Let an address of one interface be seen as another on a second one
<max>     a whole number, 0 or more
<cr>`,
  )
  assert.equal(
    asked('static ?'),
    '(<real>,<mapped>)   Let an address of one interface be seen as another on a second one',
  )
  assert.equal(asked('nameif ?'), '<hardware>   the device, such as ethernet0')
  assert.equal(asked('banner motd hello ?'), '<text>   any text\n<cr>')
})

test('? behind a word tells what the word may become', () => {
  assert.equal(
    asked('ac?'),
    `\
access-list    Say which connections may exist; the first line that fits decides
access-group   Judge what enters by an interface with an access list`,
  )
  assert.equal(asked('ip a?'), 'address   The address of an interface\naudit     Watch for signatures')
  assert.equal(asked('fixup protocol smtp 2?'), '<ports>   a port or a range of ports, such as 25 or 25-26')
})

test('? knows the no forms and abbreviations', () => {
  assert.equal(
    asked('no ?'),
    `\
hostname       The name this firewall gives itself
fixup          Inspect SMTP on these ports
access-list    Say which connections may exist; the first line that fits decides
ip             The address of an interface
static         Let an address of one interface be seen as another on a second one
access-group   Judge what enters by an interface with an access list
banner         What a console says to whom it greets`,
  )
  assert.equal(asked('no hostname ?'), '<cr>')
  assert.equal(asked('no banner motd ?'), '<text>   any text\n<cr>')
  assert.equal(asked('fix prot ?'), 'smtp   Inspect SMTP on these ports')
})

test('? says what is wrong where nothing can follow', () => {
  assert.equal(asked('fixpu ?'), '% unknown command "fixpu" (did you mean fixup?)')
  assert.equal(asked('access x ?'), '% ambiguous command "access" (could be: access-list, access-group)')
  assert.equal(asked('fixpu?'), '% unknown command "fixpu" (did you mean fixup?)')
  assert.equal(
    asked('fixup protocol smtp 99999 ?').slice(0, 52),
    '% "99999" is not a port or a range of ports (expecte',
  )
  assert.equal(asked('banner "not closed?'), '% the quotation is not closed')
  assert.equal(asked('! what?'), '')
})

test('complete() offers the words that the last one may become', () => {
  assert.deepEqual(complete(SAMPLE, 'ac'), ['access-list', 'access-group'])
  assert.deepEqual(complete(SAMPLE, 'n'), ['nameif', 'no'])
  assert.deepEqual(complete(SAMPLE, 'no '), [
    'hostname',
    'fixup',
    'access-list',
    'ip',
    'static',
    'access-group',
    'banner',
  ])
  assert.deepEqual(complete(SAMPLE, 'fixup protocol smtp s'), ['ssh', 'smtp'])
  assert.deepEqual(complete(SAMPLE, 'access-list IN permit '), ['tcp', 'udp', 'ip'])
  assert.deepEqual(complete(SAMPLE, 'FIX'), ['fixup'])
  assert.deepEqual(complete(SAMPLE, 'fixpu '), [])
  assert.deepEqual(complete(SAMPLE, 'banner "mo'), [])
})

test('help() and complete() answer anything without throwing', () => {
  fc.assert(
    fc.property(anyTyped, typed => {
      for (const line of [...help(SAMPLE, typed), ...help(SAMPLE, `${typed}?`)]) assert.doesNotMatch(line, /\n/)
      complete(SAMPLE, typed)
    }),
    { numRuns: 1_000 },
  )
})

test('every completion parses further: it is never the word at which a line fails', () => {
  fc.assert(
    fc.property(anyTyped, typed => {
      for (const word of complete(SAMPLE, typed)) {
        const head = typed.replace(/[^ \t]*$/, '')
        const { problems } = parseLine(SAMPLE, EMPTY, head + word, { abbreviations: true })
        for (const { at, message } of problems.filter(({ severity }) => severity === 'error')) {
          const isUnderstood =
            message === 'the line ends too soon' || !/unknown|ambiguous|is not|too much/.test(message)
          assert.ok(isUnderstood, `${head + word}: ${message} at ${at?.column}`)
        }
      }
    }),
    { numRuns: 1_000 },
  )
})
