/** Visits a server and writes down what was heard: one connection at a time, and nothing that commits anybody. */
import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import { type Both, paired } from '../diagnosis/both-ends.ts'
import { askLine, FAR_BODY, FarReader, type FarRecord, farLines, isQuestion } from '../diagnosis/far-side.ts'
import { type Exchange, type Observation, sessionsOf } from '../diagnosis/observation.ts'
import {
  firstPlan,
  type Letter,
  letterPlan,
  letterTaken,
  offered,
  type Plan,
  Probe,
  secondPlan,
  typedPlan,
} from '../diagnosis/probe.ts'
import { now } from '../io/clock.ts'
import { Drive } from '../io/drive.ts'
import { dial, type Endpoint, type Socket } from '../io/sockets.ts'
import { secureClient } from '../io/tls.ts'
import { addressLiteral } from '../smtp/address.ts'
import { words } from './words.ts'

export interface Visit {
  /** What the vantage is called in the report. */
  readonly vantage: string
  readonly target: string
  /** What we call ourselves; what the connection's own address is, where nothing stands here. */
  readonly hello?: string
  /** How long an answer may take. */
  readonly patience: Duration
  /** An envelope to try, taken back or delivered. */
  readonly letter?: Letter
  /** Leave out the session that is typed octet by octet. */
  readonly whole?: boolean
  readonly connect: () => Promise<Socket>
}

/** A greeting may be held back on purpose for half a minute; nobody waits longer. */
export const PATIENCE: Duration = 30_000
/** What is thrown away is never answered: for typed commands we know already how long answers take. */
const TYPED_PATIENCE: Duration = 3_000

/** All sessions of one visit. Throws a `PosternError` where not even the first connection stands. */
export async function visit({ vantage, target, hello, patience, letter, whole, connect }: Visit): Promise<Observation> {
  const exchanges: Exchange[] = []
  const notes: string[] = []
  const session = async (plan: (name: string) => Plan): Promise<readonly Exchange[]> => {
    const number = 1 + (exchanges.at(-1)?.session ?? 0)
    const { heard, why } = await converse(number, await connect(), target, hello, plan)
    exchanges.push(...heard)
    if (why !== undefined) notes.push(`connection ${number}: ${why}`)
    return heard
  }
  const first = await session(name => firstPlan(name, patience))
  // Where nobody greets, or the greeting turns us away, the next connection would only be one more.
  const code = Number((first[0]?.heard.at(-1) ?? '').slice(0, 3))
  if (first.length === 0 || first[0]?.ending === 'silence' || code >= 400) return { vantage, target, exchanges, notes }
  const tried = letter && ((name: string) => letterPlan(name, letter, patience))
  const more: readonly ((name: string) => Plan)[] = [
    name => secondPlan(name, offered(exchanges), patience),
    ...(tried ? [tried] : []),
    ...(whole ? [] : [(name: string) => typedPlan(name, Math.min(patience, TYPED_PATIENCE))]),
  ]
  for (const plan of more) {
    try {
      const heard = await session(plan)
      if (letter && plan === tried) notes.push(letterTaken(heard, letter))
    } catch (cause) {
      notes.push(`a further connection failed: ${words(cause)}`)
      break
    }
  }
  return { vantage, target, exchanges, notes }
}

/** What a visit to a far side of ours gave: both ends of every exchange. */
export interface FarVisit {
  readonly near: Observation
  /** `undefined`: the far side told nothing of itself. */
  readonly pairs: readonly Both[] | undefined
}

/** Visits `postern listen` at the other end. There nothing can be spoilt, so everything is said, a message as well. */
export async function visitFar({ vantage, target, hello, patience, whole, connect }: Visit): Promise<FarVisit> {
  const exchanges: Exchange[] = []
  const pairs: Both[] = []
  const notes: string[] = []
  let isTold = true
  for (const typed of whole ? [false] : [false, true]) {
    const reader = new FarReader()
    const plan = (name: string): Plan => ({
      lines: [...(typed ? [`HELO ${name}`, 'NOOP'] : farLines(name)), askLine('steps'), 'QUIT'],
      typed,
      tls: false,
      body: FAR_BODY,
      follow: reader.follow,
      onward: typed,
      whole: isQuestion,
      patience: typed ? Math.min(patience, TYPED_PATIENCE) : patience,
    })
    const { heard, why } = await converse(typed ? 2 : 1, await connect(), target, hello, plan)
    if (why !== undefined) notes.push(`connection ${typed ? 2 : 1}: ${why}`)
    const said = heard.filter(each => !isQuestion(each.said) && !/^QUIT/.test(each.said))
    exchanges.push(...said)
    const record = reader.record
    if (record) pairs.push(...paired(said, record))
    else if (!typed) isTold = false
  }
  return { near: { vantage, target, exchanges, notes }, pairs: isTold ? pairs : undefined }
}

/** The same, with a record that was written at the far side, connection by connection. */
export function pairedBy(near: Observation, records: readonly FarRecord[]): readonly Both[] {
  return sessionsOf(near).flatMap((session, i) => {
    const record = records[i]
    return record ? paired(session, record) : []
  })
}

async function converse(
  number: number,
  socket: Socket,
  target: string,
  hello: string | undefined,
  plan: (name: string) => Plan,
): Promise<{ readonly heard: readonly Exchange[]; readonly why?: string }> {
  const heard: Exchange[] = []
  let why: string | undefined
  const probe = new Probe(number, plan(hello ?? nameOf(socket)))
  const drive = new Drive(
    probe,
    socket,
    output => {
      if (output.kind === 'heard') heard.push(output.exchange)
      else if (output.kind === 'done') why = output.why
      return undefined
    },
    {
      readsOn: true,
      secure: open => secureClient(open, { name: target.replace(/:\d+$/, '').replace(/^\[|\]$/g, '') }),
    },
  )
  drive.do(() => probe.open(now()))
  await drive.over
  return { heard, ...(why !== undefined && { why }) }
}

/** The address that we speak from (RFC 5321 §4.1.4), where nobody gave us a name. */
function nameOf(socket: Socket): string {
  return addressLiteral(socket.localAddress ?? '127.0.0.1')
}

/** How to connect from one of our own addresses. */
export function connector(to: Endpoint, source?: string): () => Promise<Socket> {
  return async () => {
    try {
      return await dial(to, undefined, source)
    } catch (cause) {
      throw new PosternError('POSTERN_CANNOT_PROBE', words(cause), {
        side: 'server',
        retry: 'later',
        cause,
      })
    }
  }
}
