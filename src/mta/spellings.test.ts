import assert from 'node:assert/strict'
import { test } from 'node:test'
import { formatDiagnostic } from '../base/problem.ts'
import { parse } from '../config/parse.ts'
import { route, spacesOver } from '../routing/connector.ts'
import { domainKey, type Mailbox } from '../smtp/address.ts'
import { acceptRecipient, acceptSender, mailboxFor } from './acceptance.ts'
import { Aliases } from './aliases.ts'
import { MTA } from './commands.ts'
import type { MtaConfig } from './config.ts'
import { exchangersOf } from './exchangers.ts'
import { hopOf } from './hop.ts'
import { turnFor } from './work.ts'

const U = 'bücher.example'
const A = 'xn--bcher-kva.example'

const at = (domain: string, local = 'bob'): Mailbox => ({ local, domain })

function read(...lines: readonly string[]) {
  const { config, problems } = parse(MTA, lines.join('\n'), 'mail.conf')
  assert.deepEqual(problems, [])
  return config
}

/** A line says it in one spelling, and a client in another. */
const PAIRS = [
  [U, A],
  [A, U],
  [U, 'BÜCHER.Example'],
] as const

for (const [line, said] of PAIRS)
  test(`a line with ${line} means mail for ${said}, too`, () => {
    const local = read(`local-domain ${line}`, `mailbox bob@${line}`, `alias sales@${line} bob@${line}`)
    assert.deepEqual(mailboxFor(local, at(said)), at(line), 'one mailbox, and one Maildir')
    assert.deepEqual(
      acceptRecipient(local, { about: 'rcpt', from: null, to: at(said), peer: '192.0.2.7', login: undefined }),
      {
        yes: '',
      },
    )
    assert.deepEqual(new Aliases(local, local.aliases).of(at(said, 'sales')), [at(line)])
    assert.equal(turnFor(read(`turn-domain ${line} login b`), at(said))?.login, 'b')
    const sender = read(`sender-of b @${line}`)
    assert.ok('yes' in acceptSender(sender, { about: 'mail', from: at(said), peer: '192.0.2.7', login: 'b' }))
    const { routing } = read('connector b to B cost 1 target 192.0.2.1', `address-space b smtp ${line}`)
    assert.equal(route(routing, at(said)).kind, 'relay')
    assert.ok(spacesOver(`mail.${said}`).includes(domainKey(`*.${line}`)), 'as destination-tls has it')
  })

const BEFORE = [
  'local-domain a.example',
  'local-domain xn--bcher-kva.example',
  'connector b to B cost 1 target 192.0.2.1',
]

const RESPELLED: readonly {
  readonly lines: readonly string[]
  readonly column: number
  readonly left: (config: MtaConfig) => boolean
}[] = [
  {
    lines: [`local-domain x.${U}`, `local-domain x.${A}`],
    column: 14,
    left: ({ localDomains }) => localDomains.filter(each => each.startsWith('x.')).join() === `x.${A}`,
  },
  {
    lines: [`mailbox bob@${U}`, `mailbox bob@${A}`],
    column: 9,
    left: ({ mailboxes }) => mailboxes.map(({ domain }) => domain).join() === A,
  },
  {
    lines: [`alias bob@${U} a@a.example`, `alias bob@${A} b@a.example`],
    column: 7,
    left: ({ aliases }) => aliases.map(({ name }) => name.domain).join() === A,
  },
  {
    lines: [`turn-domain ${U} login b`, `turn-domain ${A} login c`],
    column: 13,
    left: ({ turns }) => turns.map(({ login }) => login).join() === 'c',
  },
  {
    lines: [`destination-tls ${U} verify`, `destination-tls ${A} may`],
    column: 17,
    left: ({ domainTls }) => domainTls.map(({ tls }) => tls.floor).join() === 'may',
  },
  {
    lines: [`address-space b smtp ${U} cost 2`, `address-space b smtp ${A} cost 3`],
    column: 22,
    left: ({ routing }) => routing.connectors[0]?.spaces.map(({ cost }) => cost).join() === '3',
  },
  {
    lines: [`group-domain B ${U} at x.example`, `group-domain B ${A} at y.example`],
    column: 16,
    left: ({ routing }) => routing.groups[0]?.domains.map(({ server }) => server).join() === 'y.example',
  },
]

test('a line in another spelling takes the place of the one there was, with a warning, and takes it away', () => {
  assert.deepEqual(read(`local-domain ${U}`, `no local-domain ${A}`).localDomains, [])
  for (const { lines, column, left } of RESPELLED) {
    const { config, problems } = parse(MTA, [...BEFORE, ...lines].join('\n'), 'mail.conf')
    assert.ok(left(config), lines[1])
    const [said = '', ...more] = problems.map(formatDiagnostic)
    assert.deepEqual(more, [])
    assert.ok(said.startsWith(`mail.conf:5:${column}: warning: this line takes the place of the one with `), said)
    assert.match(said, /bücher\.example, which is the same in another spelling\n/)
    assert.match(said, / expected one line for both spellings$/)
  }
  // In one spelling a line takes the place of another as ever.
  assert.deepEqual(read(`local-domain ${A}`, `local-domain ${A.toUpperCase()}`).localDomains, [A])
})

test('mail for both goes over one lane to the servers that DNS names, which are looked up in A-labels', () => {
  const [out] = read('smtp-connector out cost 1 dns').routing.connectors
  assert.ok(out)
  assert.equal(hopOf(out, at(U)).name, hopOf(out, at(A)).name)
  const found = exchangersOf(
    U,
    { kind: 'empty', isSecure: false },
    { isOwn: () => false, random: () => new Uint8Array(4) },
  )
  assert.deepEqual(found.kind === 'hosts' && found.hosts, [A], 'the domain itself, where it has no MX')
})
