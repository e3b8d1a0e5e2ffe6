import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { runs } from '../base/any-bytes.test.ts'
import { parse } from '../config/parse.ts'
import type { Envelope, Recipient } from '../mail/envelope.ts'
import { formatMailbox, parseMailbox } from '../smtp/address.ts'
import { acceptRecipient } from './acceptance.ts'
import { Aliases, expand, MAX_EXPANDED, MAX_TARGETS, parseAliases, parseTargets } from './aliases.ts'
import { MTA } from './commands.ts'

const HEAD = `hostname mail.a.example
local-domain a.example
local-domain b.example
mailbox alice@a.example
mailbox bob@b.example
`

function aliases(...lines: readonly string[]): Aliases {
  const { config, problems } = parse(MTA, `${HEAD}${lines.map(line => `alias ${line}\n`).join('')}`, 'mail.conf')
  assert.deepEqual(problems, [])
  return new Aliases(config, config.aliases)
}

/** The same from a file, whose lines may be long. */
function fromFile(...lines: readonly string[]): Aliases {
  const { aliases: read, problems } = parseAliases(lines.join('\n'), 'aliases')
  assert.deepEqual(problems, [])
  return new Aliases(parse(MTA, HEAD, 'mail.conf').config, read)
}

const mailbox = (text: string) => {
  const read = parseMailbox(text)
  assert.ok(!('wrong' in read))
  return read
}
const of = (all: Aliases, address: string) => all.of(mailbox(address))?.map(formatMailbox)
const wrongs = (all: Aliases) => all.problems().map(({ message, at }) => `${at?.line} ${message}`)

test('an alias is followed to the end: others of ours, addresses elsewhere, each of them once', () => {
  const all = aliases('sales alice@a.example, carol@c.example', 'all sales bob@b.example alice@a.example')
  assert.deepEqual(of(all, 'sales@a.example'), ['alice@a.example', 'carol@c.example'])
  assert.deepEqual(of(all, 'ALL@A.example'), ['alice@a.example', 'carol@c.example', 'bob@b.example'])
  assert.equal(of(all, 'sales@c.example'), undefined)
  assert.equal(of(all, 'alice@a.example'), undefined)
})

test('with a domain it stands there only; a name alone is looked for where the alias was asked for', () => {
  const all = aliases('info@a.example alice', 'me bob@b.example', 'both me')
  assert.deepEqual(of(all, 'info@a.example'), ['alice@a.example'])
  assert.equal(of(all, 'info@b.example'), undefined)
  assert.deepEqual(of(all, 'both@a.example'), ['bob@b.example'])
})

test('who forwards to himself and others keeps a copy, and \\ means the mailbox whatever alias there is', () => {
  const all = aliases('alice@a.example alice@a.example x@c.example', 'boss \\alice@a.example')
  assert.deepEqual(of(all, 'alice@a.example'), ['alice@a.example', 'x@c.example'])
  assert.deepEqual(of(all, 'boss@a.example'), ['alice@a.example'])
})

test('loops, endless chains, too many and nobody are mistakes of their line', () => {
  assert.deepEqual(wrongs(aliases('a b', 'b c', 'c a')), [
    '6 a loop: a@a.example → b@a.example → c@a.example → a@a.example',
    '7 a loop: b@a.example → c@a.example → a@a.example → b@a.example',
    '8 a loop: c@a.example → a@a.example → b@a.example → c@a.example',
  ])
  const chain = Array.from({ length: 12 }, (_, i) => `n${i} n${i + 1}`)
  assert.match(wrongs(aliases(...chain, 'n12 alice@a.example'))[0] ?? '', /more than 10 aliases follow each other/)
  assert.deepEqual(wrongs(aliases('sales nobody')), ['6 nobody here is nobody@a.example'])
  assert.deepEqual(wrongs(aliases('x@far.example alice@a.example')), ['6 far.example is not a local domain'])
  const many = Array.from({ length: MAX_TARGETS + 1 }, (_, i) => `u${i}@far.example`).join(' ')
  assert.deepEqual(wrongs(fromFile(`many: ${many}`)), [`1 it comes to more than ${MAX_TARGETS} addresses`])
})

test('an alias is accepted as a mailbox is, and opens no relay', () => {
  const all = aliases('sales carol@c.example')
  const { config } = parse(MTA, HEAD, 'mail.conf')
  const asked = (to: string) =>
    acceptRecipient(
      config,
      { about: 'rcpt', to: mailbox(to), from: null, peer: '192.0.2.1', login: undefined },
      () => true,
      all,
    )
  assert.deepEqual(asked('sales@a.example'), { yes: '' })
  assert.deepEqual(asked('carol@c.example'), { no: 'relay-refused' })
  assert.deepEqual(asked('carol@a.example'), { no: 'no-such-user' })
})

test('postmaster is always somebody, by an alias, the first mailbox, or a mailbox of its own', () => {
  const named = aliases('postmaster bob@b.example')
  for (const to of ['postmaster', 'Postmaster@a.example', 'postmaster@b.example'])
    assert.deepEqual(of(named, to), ['bob@b.example'], to)
  const { config } = parse(MTA, 'hostname mail.a.example\nlocal-domain a.example\n', 'mail.conf')
  const to = { local: 'postmaster', domain: '' }
  const answer = acceptRecipient(config, { about: 'rcpt', to, from: null, peer: '192.0.2.1', login: undefined })
  assert.deepEqual(answer, { yes: '' })
})

// ── RFC 3461 §5.2.7 ────────────────────────────────────────────────────────────────────────────────────────────────

const letter = (...recipients: readonly Recipient[]): Envelope => ({
  from: mailbox('x@far.example'),
  recipients,
  smtputf8: false,
  body: '7bit',
})

const said = (envelope: Envelope | undefined) =>
  envelope?.recipients.map(({ to, notify, orcpt }) => [formatMailbox(to), notify, orcpt].filter(Boolean).join(' '))

const GROUPS = aliases('me bob@b.example', 'us alice@a.example bob@b.example')

test('one address: every wish is handed on, and the address that was written is kept', () => {
  const asked = { to: mailbox('me@a.example'), notify: 'SUCCESS,FAILURE', orcpt: 'rfc822;first@far.example' }
  assert.deepEqual(said(expand(letter(asked), GROUPS)?.envelope), [
    'bob@b.example SUCCESS,FAILURE rfc822;first@far.example',
  ])
  assert.deepEqual(said(expand(letter({ to: mailbox('me@a.example') }), GROUPS)?.envelope), [
    'bob@b.example rfc822;me@a.example',
  ])
})

test('several: SUCCESS is not handed on, and the alias stays as one that was expanded', () => {
  const found = expand(letter({ to: mailbox('us@a.example'), notify: 'SUCCESS,DELAY' }), GROUPS)
  assert.deepEqual(said(found?.envelope), [
    'us@a.example SUCCESS,DELAY',
    'alice@a.example DELAY rfc822;us@a.example',
    'bob@b.example DELAY rfc822;us@a.example',
  ])
  assert.deepEqual([...(found?.expanded ?? [])], [[0, 2]])
  const only = expand(letter({ to: mailbox('us@a.example'), notify: 'SUCCESS' }), GROUPS)
  assert.deepEqual(said(only?.envelope)?.slice(1), [
    'alice@a.example NEVER rfc822;us@a.example',
    'bob@b.example NEVER rfc822;us@a.example',
  ])
  assert.deepEqual(said(expand(letter({ to: mailbox('us@a.example') }), GROUPS)?.envelope), [
    'alice@a.example rfc822;us@a.example',
    'bob@b.example rfc822;us@a.example',
  ])
})

test('who is meant by name and by alias gets one copy, under the wishes for the name', () => {
  const recipients = [{ to: mailbox('us@a.example') }, { to: mailbox('bob@b.example'), notify: 'NEVER' }]
  assert.deepEqual(said(expand(letter(...recipients), GROUPS)?.envelope), [
    'alice@a.example rfc822;us@a.example',
    'bob@b.example NEVER',
  ])
})

test('a message that would come to too many recipients is not expanded at all', () => {
  const list = (i: number) => `l${i}: ${Array.from({ length: 900 }, (_, j) => `u${j}@d${i}.example`).join(' ')}`
  const all = fromFile(...Array.from({ length: 6 }, (_, i) => list(i)))
  const to = (count: number) => Array.from({ length: count }, (_, i) => ({ to: mailbox(`l${i}@a.example`) }))
  assert.equal(expand(letter(...to(5)), all)?.envelope.recipients.length, 4_500)
  assert.ok(6 * 900 > MAX_EXPANDED)
  assert.equal(expand(letter(...to(6)), all), undefined)
})

// ── files ──────────────────────────────────────────────────────────────────────────────────────────────────────────

test('a file as sendmail has it: comments, blank lines, lines that go on, quotes, and Windows’ line ends', () => {
  const { aliases: read, problems } = parseAliases(
    `# people
postmaster: root
root:  alice@a.example,\r
   bob@b.example   

"two words": \\alice
list@b.example : x@y.example
`,
    'aliases',
  )
  assert.deepEqual(problems, [])
  assert.deepEqual(
    read.map(({ name, targets, at }) => [
      at.line,
      formatMailbox(name),
      targets.map(({ to, isFinal }) => `${isFinal ? '\\' : ''}${formatMailbox(to)}`).join(' '),
    ]),
    [
      [2, 'postmaster', 'root'],
      [3, 'root', 'alice@a.example bob@b.example'],
      [6, '"two words"', '\\alice'],
      [7, 'list@b.example', 'x@y.example'],
    ],
  )
})

test('programs, files and lists are refused with their place, as are names that stand twice and lines that are none', () => {
  const { problems } = parseAliases(
    `a: "|/bin/sh -c evil"
b: /var/mail/b
c: :include:/etc/list
d: x@y.example
D: z@y.example
nonsense
e:
`,
    'aliases',
  )
  assert.deepEqual(
    problems.map(({ message, at }) => `${at?.line}:${at?.column} ${message}`),
    [
      '1:4 programs, files and lists to include are not run here',
      '2:4 programs, files and lists to include are not run here',
      '3:4 programs, files and lists to include are not run here',
      '5:1 D stands at line 4 already',
      '6:1 expected a name, a colon and addresses',
      '7:1 it stands for nobody',
    ],
  )
})

test('whatever a file holds, reading it ends, and every problem stands at a line of it', () => {
  fc.assert(
    fc.property(fc.string({ unit: fc.constantFrom(...'ab:,"\\@ \n\t|#.'), maxLength: 200 }), text => {
      const { aliases: read, problems } = parseAliases(text, 'f')
      for (const { at } of [...problems, ...read]) assert.ok(at && at.line >= 1 && at.line <= text.split('\n').length)
      assert.ok('targets' in parseTargets(text) || parseTargets(text))
    }),
    runs(1_000),
  )
})

test('lists that lead to the same lists are followed once, and not by every way that leads to them', () => {
  const [levels, wide] = [9, 8]
  const lines = Array.from({ length: levels * wide }, (_, i) => {
    const next = Math.floor(i / wide) + 1
    const to = Array.from({ length: wide }, (_, j) => `at${next}n${j}`)
    return `at${next - 1}n${i % wide}: ${next < levels ? to.join(', ') : 'alice@a.example, carol@c.example'}`
  })
  const all = fromFile(...lines)
  // By every way it would be 8 to the 9th, for each of 72.
  assert.deepEqual(wrongs(all), [])
  assert.deepEqual(of(all, 'at0n0@a.example'), ['alice@a.example', 'carol@c.example'])
})
