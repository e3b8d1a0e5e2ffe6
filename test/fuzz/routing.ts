import { createHash } from 'node:crypto'
import fc from 'fast-check'
import { RoutingEngine } from '../../src/routing/engine.ts'
import { Exchange } from '../../src/routing/exchange.ts'
import { readFrame, writeFrame } from '../../src/routing/frame.ts'
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
    let text = FRAMES[frame] ?? ''
    for (const { at, drop, put } of edits) {
      const place = at % (text.length + 1)
      text = text.slice(0, place) + put + text.slice(place + drop)
    }
    if (measured) {
      const body = text.slice(text.indexOf('}') + 1)
      text = `{${body.length.toString(16).padStart(8, '0')}}${body}`
    }
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
