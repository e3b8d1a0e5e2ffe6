import assert from 'node:assert/strict'
import { EventEmitter } from 'node:events'
import { test } from 'node:test'
import fc from 'fast-check'
import { Ears, type TcpEvent, type Told, tell } from './tcp-ears.ts'

class Open extends Ears {
  emit(event: TcpEvent, told?: unknown): void {
    tell(this.ears[event], told as Told[TcpEvent])
  }
}

const EVENTS = ['data', 'end', 'error', 'close', 'drain'] as const
const WHO = [0, 1, 2]

/** What a listener does when it is told, beyond saying so. */
const step = fc.oneof(
  fc.record({
    do: fc.constantFrom('on', 'once', 'off'),
    event: fc.constantFrom(...EVENTS),
    who: fc.constantFrom(...WHO),
  }),
  fc.record({
    do: fc.constantFrom('emit', 'removeAllListeners'),
    event: fc.constantFrom(...EVENTS),
    who: fc.constant(0),
  }),
)

/** What both of them have. */
interface Emitter
  extends Record<'on' | 'once' | 'off', (event: TcpEvent, listener: (told: unknown) => void) => unknown> {
  removeAllListeners(event: TcpEvent): unknown
  emit(event: TcpEvent, told: unknown): unknown
}

function play(ears: Emitter, steps: readonly { do: string; event: TcpEvent; who: number }[]): string[] {
  const heard: string[] = []
  // The last of them goes, and takes the first with it, when it is told.
  const listeners = WHO.map(who => (told: unknown) => {
    heard.push(`${who} ${told}`)
    if (who === 2)
      for (const event of EVENTS) for (const other of [0, 2]) ears.off(event, listeners[other] ?? (() => {}))
  })
  // A listener to errors that both have: without one an emitter throws.
  ears.on('error', () => heard.push('error'))
  for (const [at, { do: what, event, who }] of steps.entries()) {
    const listener = listeners[who] ?? (() => {})
    if (what === 'emit') ears.emit(event, at)
    else if (what === 'removeAllListeners') {
      if (event !== 'error') ears.removeAllListeners(event)
    } else ears[what as 'on' | 'once' | 'off'](event, listener)
  }
  return heard
}

test('listeners come, are told and go as with an emitter of Node’s', () => {
  fc.assert(
    fc.property(fc.array(step, { maxLength: 40 }), steps => {
      assert.deepEqual(play(new Open(), steps), play(new EventEmitter(), steps))
    }),
    { numRuns: 2_000 },
  )
})

test('an error that nobody listens to is no crash', () => {
  new Open().emit('error', new Error('nobody listens'))
})
