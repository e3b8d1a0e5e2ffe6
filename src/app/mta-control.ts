/** What the control socket of a running mail server answers: about its queue, its routes, and its configuration. */
import { now } from '../io/clock.ts'
import { type ControlAnswer, openControl, sweepControl } from '../io/control.ts'
import type { MtaEvent } from '../mta/news.ts'
import type { Spool } from '../spool/spool.ts'
import type { Mta } from './mta.ts'
import { QueueDesk, type QueueRequest } from './queue-desk.ts'
import { answerRouting, readQuestion, toldOf } from './routing-desk.ts'

/** The names under which the socket knows the queue, and the server itself. */
export const QUEUE_NODE = 'queue'
export const SERVER_NODE = 'server'

export interface Controlled {
  readonly spool: Spool
  /** The one in force. */
  readonly mta: () => Mta
  readonly reload: () => Promise<ControlAnswer>
  readonly tell: (event: MtaEvent) => void
}

/** The spool is ours, so a socket in its folder that nobody answers is nobody's. */
export async function openMtaControl(folder: string, controlled: Controlled): Promise<{ close(): void }> {
  const { spool, reload, tell } = controlled
  sweepControl(folder)
  return openControl(folder, async request => {
    const mta = controlled.mta()
    const asked = request.ask === 'routing' ? readQuestion(request.line) : undefined
    if (asked) return toldOf(answerRouting(mta.routing, asked, now()))
    if (request.ask === 'type' && request.node === SERVER_NODE && request.line === 'reload') return reload()
    if (request.ask !== 'type' || request.node !== QUEUE_NODE)
      return { answer: ['a mail server has a queue, routes and a configuration'], wrong: true }
    const desk = new QueueDesk(mta.config, spool, {
      ways: mta.routing.service,
      wake: () => mta.wake(),
      askAnyway: () => mta.askAnyway(),
      forget: id => mta.forget(id),
      tell,
    })
    return { answer: [JSON.stringify(await desk.ask(JSON.parse(request.line) as QueueRequest))], wrong: false }
  })
}
