/**
 * Plays every vector of `test/vectors` through the strict proxy, whole and an octet at a time: before our own server, and
 * before a lenient one that takes anything for a line end and runs whatever it can read. What the client must hear is
 * what the vector says; where the proxy has another good answer, it stands in `OTHERWISE`.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import { type Backend, Lenient, type Took } from '../src/firewall/through.test.ts'
import { AREAS } from './vectors/all.ts'
import { configure, ServerUnderTest } from './vectors/server.ts'
import { OTHERWISE, ThroughStrict } from './vectors/through.ts'
import { heardPattern, piecesOf, repliesIn, type ServerVector, sayHeard } from './vectors/vector.ts'

const MOST_SINGLY = 20_000
/** The lenient server is slow. */
const MOST_LENIENT = 200_000

function play(vector: ServerVector, through: ThroughStrict, length: number, judges: boolean): void {
  for (const [i, [sent, expected]] of vector.steps.entries()) {
    for (const piece of piecesOf(sent)) {
      if ('wait' in piece) through.wait(piece.wait)
      else if ('tls' in piece) through.secured()
      else if ('closeNotify' in piece) through.end()
      else {
        for (let at = 0; at < piece.bytes.length; at += length) through.send(piece.bytes.slice(at, at + length))
      }
    }
    const heard = sayHeard(repliesIn(through.said()), through.closed && !through.closedHeard)
    const otherwise = OTHERWISE[vector.id]?.[i]
    const wanted = otherwise === undefined ? expected : `${expected} | ${otherwise}`
    if (judges && !heardPattern(wanted).test(heard)) {
      assert.fail(
        `step ${i}: ${JSON.stringify(sent).slice(0, 200)}\n  expected: ${wanted}\n  heard:    ${heard.slice(0, 200)}`,
      )
    }
    through.closedHeard = through.closed
    if (through.closed && otherwise !== undefined) break
  }
  through.end()
}

function size({ steps }: ServerVector): number {
  const pieces = steps.flatMap(([sent]) => piecesOf(sent))
  return pieces.reduce((sum, piece) => sum + ('bytes' in piece ? piece.bytes.length : 0), 0)
}

function lengths(vector: ServerVector): readonly number[] {
  return vector.whole || size(vector) > MOST_SINGLY ? [65_536] : [65_536, 1]
}

/** Our envelopes are from these; whatever else arrives was hidden in a message. */
const FORGED = /^(?:smug|evil|injected)/

for (const { vectors } of AREAS) {
  for (const vector of vectors) {
    test(`${vector.id}, through strict: ${vector.holds}`, () => {
      for (const length of lengths(vector)) {
        const config = configure(vector.config)
        const servers: ServerUnderTest[] = []
        const through = new ThroughStrict(
          () => {
            const server = new ServerUnderTest(config)
            servers.push(server)
            return behind(server)
          },
          { engine: { authInClear: true }, messageSize: config.limits.messageSize },
        )
        play(vector, through, length, true)
        assert.deepEqual(
          servers.flatMap(each => each.taken).filter(({ from }) => FORGED.test(from)),
          [],
        )
      }
    })

    if (size(vector) > MOST_LENIENT) continue
    test(`${vector.id}, through strict before a lenient server: nothing is forged, and every octet is canonical`, () => {
      for (const length of lengths(vector)) {
        for (const talkingAhead of ['refuse', 'wait'] as const) {
          for (const strays of ['reject', 'crlf', 'space', 'nothing'] as const) {
            const took: Took[] = []
            let wire = ''
            const through = new ThroughStrict(
              () => {
                const lenient = new Recorded(took, octets => {
                  wire += octets
                })
                return lenient
              },
              { engine: { authInClear: true, talkingAhead }, strays },
            )
            play(vector, through, length, false)
            assert.deepEqual(
              took.filter(({ from }) => FORGED.test(from)),
              [],
            )
            assert.doesNotMatch(wire, /\r(?!\n)|(?<!\r)\n|\0/)
          }
        }
      }
    })
  }
}

test('without the proxy the lenient server takes the forged envelopes, so the tests above can fail', () => {
  const forged = AREAS.flatMap(({ vectors }) => vectors).filter(vector => {
    if (size(vector) > MOST_LENIENT) return false
    const took: Took[] = []
    const server = new Recorded(took, () => {})
    for (const [sent] of vector.steps)
      for (const piece of piecesOf(sent)) if ('bytes' in piece) server.receive(piece.bytes)
    return took.some(({ from }) => FORGED.test(from))
  })
  assert.ok(forged.length >= 15, `${forged.length} vectors`)
})

/** Our own server, as what stands behind a proxy. */
function behind(server: ServerUnderTest): Backend {
  return {
    open: () => server.said(),
    receive(octets) {
      server.send(octets)
      return server.said()
    },
    end: () => server.end(),
    secured: () => server.secured(),
    get closed() {
      return server.closed
    },
  }
}

/** The lenient server, with a note of what it was told. */
class Recorded extends Lenient {
  readonly #note: (octets: string) => void

  constructor(took: Took[], note: (octets: string) => void) {
    super(took)
    this.#note = note
  }

  override receive(octets: Uint8Array): string {
    this.#note(Buffer.from(octets).toString('latin1'))
    return super.receive(octets)
  }

  secured(): void {}
}
