import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { RoutingEngine } from '../../src/routing/engine.ts'
import { Exchange } from '../../src/routing/exchange.ts'
import { readFrame, writeFrame } from '../../src/routing/frame.ts'
import { NodeLink } from '../../src/routing/node-link.ts'
import { Routes } from '../../src/routing/routes.ts'
import { PRINTED, QUERY_LINE, TWO_GROUPS } from '../../src/routing/vectors.test.ts'
import type { Target } from './target.ts'

interface Case {
  readonly frame: number
  readonly edits: readonly { readonly at: number; readonly drop: number; readonly put: string }[]
  readonly delta: boolean
  readonly measured: boolean
}

const ORG = '0f000000000000000000000000000091'
const DIGEST = 'd'.repeat(32)
const FRAMES: readonly string[] = [
  PRINTED,
  TWO_GROUPS,
  QUERY_LINE.slice(24),
  writeFrame({ kind: 'summary', org: ORG, digest: DIGEST, parts: Array.from({ length: 16 }, () => DIGEST) }),
  writeFrame({ kind: 'versions', org: ORG, digest: DIGEST, parts: ['a', '0'], versions: [] }),
  writeFrame({ kind: 'want', org: ORG, groups: ['a0000000000000000000000000000001'] }),
]
const WORDS = ['(', ')', '{', '}', ' ', '{ffffffff}', '()', 'MULTI (5) (', 'ffffffff', '0', '\0', 'é', 'STATE DOWN']

function edited(frame: string, edits: Case['edits'], measured: boolean): string {
  let text = frame
  for (const { at, drop, put } of edits) {
    const place = at % (text.length + 1)
    text = text.slice(0, place) + put + text.slice(place + drop)
  }
  if (!measured) return text
  const body = text.slice(text.indexOf('}') + 1)
  return `{${body.length.toString(16).padStart(8, '0')}}${body}`
}

/** Frames of routing servers, almost right: they are refused whole, or taken and said again, and no table is spoilt. */
export const ROUTING: Target<Case> = {
  name: 'routing',
  cases: fc.record({
    frame: fc.nat(FRAMES.length - 1),
    edits: fc.array(fc.record({ at: fc.nat(), drop: fc.nat(40), put: fc.constantFrom(...WORDS) }), { maxLength: 4 }),
    delta: fc.boolean(),
    measured: fc.boolean(),
  }),
  check({ frame, edits, delta, measured }) {
    const text = edited(FRAMES[frame] ?? '', edits, measured)
    const read = readFrame(text)
    if ('frame' in read && 'wrong' in readFrame(writeFrame(read.frame))) throw new Error('it cannot be said again')
    const [group, server] = ['a0000000000000000000000000000001', 'a1000000000000000000000000000011']
    const md5 = (octets: Uint8Array): Uint8Array => createHash('md5').update(octets).digest()
    const engine = new RoutingEngine({ org: ORG, server, group, md5, table: [] })
    const exchange = new Exchange(engine, { side: 'server', neighbour: 'x', teller: 'other-group', delta })
    const before = engine.table
    const outputs = exchange.hear(text)
    const isRefused = outputs.some(output => output.kind === 'finding' && output.finding.kind === 'refused')
    if (isRefused && engine.table !== before) throw new Error('it was refused and yet taken')
    if (!isRefused && !outputs.some(({ kind }) => kind === 'say'))
      throw new Error('it was neither answered nor refused')
    const routes = new Routes(engine.table, { group, server, method: 'link-state', reroute: 'link-state' })
    routes.explain({ to: { local: 'u', domain: 'x.example' }, size: 5 }, 0)
  },
}

interface LinkCase extends Case {
  readonly side: 'member' | 'master'
  readonly greeted: boolean
  readonly frames: readonly number[]
  /** Octets of each piece that comes. */
  readonly piece: number
}

const SERVER = 'a1000000000000000000000000000011'
const MEMBER = 'a4000000000000000000000000000012'
const GROUP = 'a0000000000000000000000000000001'
const LINK_FRAMES: readonly string[] = [
  ...FRAMES,
  writeFrame({ kind: 'done-response' }),
  writeFrame({
    kind: 'report',
    org: ORG,
    server: MEMBER,
    connector: 'a3000000000000000000000000000051',
    available: false,
  }),
  writeFrame({
    kind: 'report',
    org: ORG,
    server: SERVER,
    connector: 'a3000000000000000000000000000051',
    available: true,
  }),
]

/** A server of one's own group on TCP 691 that says what it likes: it is answered or cut off, and reports for itself only. */
export const NODE_LINK: Target<LinkCase> = {
  name: 'node-link',
  cases: fc.record({
    frame: fc.nat(LINK_FRAMES.length - 1),
    edits: fc.array(fc.record({ at: fc.nat(), drop: fc.nat(40), put: fc.constantFrom(...WORDS) }), { maxLength: 2 }),
    delta: fc.boolean(),
    measured: fc.boolean(),
    side: fc.constantFrom('member' as const, 'master' as const),
    greeted: fc.boolean(),
    frames: fc.array(fc.nat(LINK_FRAMES.length - 1), { maxLength: 6 }),
    piece: fc.integer({ min: 1, max: 5_000 }),
  }),
  check({ frame, edits, delta, measured, side, greeted, frames, piece }) {
    const who = delta ? 'Postern' : 'Microsoft'
    const greeting = writeFrame({ kind: 'node-info', text: `Version: 1 ${who} Routing Server ready\r\n` })
    const said = [...(greeted ? [greeting] : []), ...frames.map(n => LINK_FRAMES[n] ?? '')]
    said.push(edited(LINK_FRAMES[frame] ?? '', edits, measured))
    const octets = Uint8Array.from(said.join(''), each => each.charCodeAt(0) & 0xff)
    const md5 = (of: Uint8Array): Uint8Array => createHash('md5').update(of).digest()
    const engine = new RoutingEngine({ org: ORG, server: SERVER, group: GROUP, md5, table: [] })
    const link = new NodeLink(engine, { side, neighbour: 'x', member: MEMBER }, 0)
    link.start()
    let isClosed = false
    for (let at = 0; at < octets.length; at += piece) {
      const outputs = link.receive(octets.subarray(at, at + piece), 0)
      if (isClosed && outputs.length > 0) throw new Error('it speaks on after it closed')
      for (const output of outputs) {
        if (output.kind === 'report' && output.server !== MEMBER) throw new Error('it reported for another server')
        isClosed ||= output.kind === 'close'
      }
      if (!isClosed && link.deadline === undefined && delta) throw new Error('it would wait for ever')
    }
    new Routes(engine.table, { group: GROUP, server: SERVER, method: 'link-state', reroute: 'link-state' }).prepare()
  },
}
