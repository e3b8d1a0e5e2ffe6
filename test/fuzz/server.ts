/** The server machine, put through sessions of every kind. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { anyCuts, cut, singly } from '../../src/base/any-bytes.test.ts'
import { bytes, concat, text } from '../../src/base/bytes.ts'
import type { MtaConfig } from '../../src/mta/config.ts'
import { AUTH_LINE, LIMITS } from '../../src/smtp/limits.ts'
import { LineSplitter } from '../../src/smtp/line.ts'
import type { Answer, Question, ServerOutput } from '../../src/smtp/server.ts'
import { checkPassword, configure, SECURE, serverOf } from '../vectors/server.ts'
import { repliesIn } from '../vectors/vector.ts'
import { clientSession, framedCommand } from './grammar.ts'
import type { Target } from './target.ts'

const CONFIGS: Readonly<Record<'postern' | 'exchange2000', MtaConfig>> = {
  postern: configure(['message-size 4k']),
  exchange2000: configure(['message-size 4k', 'dialect exchange2000', 'unknown-verb quote']),
}

/** RFC 5321 §4.5.3.1.5, the end included. */
const REPLY_LINE = 512

interface Session {
  readonly dialect: keyof typeof CONFIGS
  readonly said: readonly string[]
  readonly cuts: readonly number[]
  /** What questions are answered, in turn. */
  readonly answers: readonly number[]
}

const ANSWERS: readonly ((yes: string) => Answer)[] = [
  yes => ({ yes }),
  yes => ({ yes }),
  yes => ({ yes }),
  () => ({ no: 'no-such-user' }),
  () => ({ no: 'cannot-keep' }),
  () => ({ code: 554, status: '5.7.1', text: ['no'] }),
]

/** The splitter that a machine made here holds what it has not read in. */
let splitter: LineSplitter | undefined
const push = LineSplitter.prototype.push
LineSplitter.prototype.push = function (this: LineSplitter, octets: Uint8Array): void {
  splitter = this
  push.call(this, octets)
}

/** How many octets the machine that was fed last holds unread. */
export function heldOctets(): number {
  return splitter?.size ?? 0
}

interface Seen {
  readonly said: string
  readonly taken: readonly string[]
  readonly closed: boolean
}

/** `late`: questions are answered only when everything has been said. */
function run(session: Session, pieces: readonly Uint8Array[], late: boolean): Seen {
  return runGroups(session, [pieces], late)
}

/** Between two groups a handshake takes place, where one is due. */
function runGroups({ dialect, answers }: Session, groups: readonly (readonly Uint8Array[])[], late: boolean): Seen {
  const server = serverOf(CONFIGS[dialect])
  const said: Uint8Array[] = []
  const taken: string[] = []
  let body: Uint8Array[] | undefined
  let closed = false
  let wantsTls = false
  let open: Question | undefined
  let asked = 0
  let messages = 0

  const answer = (): readonly ServerOutput[] => {
    const question = open
    open = undefined
    if (!question) return []
    if (question.about === 'sasl') return server.answer({ sasl: checkPassword(question.question) }, 0)
    const made = ANSWERS[answers[asked++ % answers.length] ?? 0]?.(
      question.about === 'message' ? `M${++messages}` : '',
    ) ?? { yes: '' }
    if (question.about === 'message') {
      const whole = concat(body ?? [])
      assert.equal(whole.length, question.size, 'the octets of a message are those it has')
      assert.ok(question.transaction.recipients.length > 0, 'a message has a recipient')
      if ('yes' in made) taken.push(`${messages} ${JSON.stringify(question.transaction)} ${text(whole)}`)
    }
    return server.answer(made, 0)
  }
  const carryOut = (outputs: readonly ServerOutput[]): void => {
    for (const output of outputs) {
      assert.ok(!closed, `nothing comes after the close (${output.kind})`)
      if (output.kind === 'write') said.push(output.bytes)
      if (output.kind === 'close') closed = true
      if (output.kind === 'start-tls') wantsTls = true
      if (output.kind === 'message-begins') {
        assert.equal(body, undefined, 'a message begins when the one before is over')
        body = []
      }
      if (output.kind === 'body') {
        assert.ok(body, 'octets belong to a message')
        body.push(output.bytes)
      }
      if (output.kind === 'body-abandoned') {
        assert.ok(body, 'a message that is abandoned was begun')
        body = undefined
      }
      if (output.kind === 'ask') {
        assert.equal(open, undefined, 'one question at a time')
        open = output.question
      }
    }
  }
  const answerAll = () => {
    while (open && !closed) {
      const about = open.about
      const outputs = answer()
      if (about === 'message') body = undefined
      carryOut(outputs)
    }
  }

  carryOut(server.open(0))
  for (const pieces of groups) {
    for (const piece of pieces) {
      if (closed) break
      carryOut(server.receive(piece, 0))
      if (!late) answerAll()
      // What waits behind a question is bounded by the driver, too, which reads no more then.
      assert.ok(closed || heldOctets() <= (open ? LIMITS.pending : AUTH_LINE), `${heldOctets()} octets are held`)
      assert.equal(
        server.deadline === undefined,
        closed || open !== undefined,
        'a deadline while the client is waited for',
      )
    }
    if (wantsTls && !closed) {
      wantsTls = false
      carryOut(server.secured(SECURE, 0))
    }
  }
  answerAll()
  if (!closed) carryOut(server.end(0))
  assert.ok(closed, 'it is over when the client has gone')
  assert.equal(body, undefined, 'no message is left half way')
  carryOut(server.receive(bytes('NOOP\r\n'), 0))
  return { said: text(concat(said)), taken, closed }
}

function checkReplies({ said, taken }: Seen): readonly string[] {
  for (const line of said.split('\r\n'))
    assert.ok(line.length + 2 <= REPLY_LINE, `a line of ${line.length + 2} octets: ${line.slice(0, 60)}`)
  const replies = repliesIn(said)
  const broken = replies.find(each => each.startsWith('not-a-reply'))
  assert.equal(broken, undefined)
  // Whatever was answered yes is told so, and nothing else is.
  const queued = [...said.matchAll(/^250 2\.[06]\.0 (?:Queued as )?M(\d+)/gm)].map(([, id]) => id)
  assert.deepEqual(
    queued,
    taken.map(each => each.split(' ')[0]),
  )
  return replies
}

const anySession: fc.Arbitrary<Session> = fc.record({
  dialect: fc.constantFrom<keyof typeof CONFIGS>('postern', 'postern', 'exchange2000'),
  said: clientSession,
  cuts: anyCuts,
  answers: fc.array(fc.nat(ANSWERS.length - 1), { minLength: 1, maxLength: 5 }),
})

/** Whatever a client says, however it is cut, and whenever its questions are answered: the same replies, the same mail. */
export const SERVER: Target<Session> = {
  name: 'server',
  cases: anySession,
  check(session) {
    const octets = bytes(session.said.join(''))
    const whole = run(session, octets.length > 0 ? [octets] : [], false)
    checkReplies(whole)
    for (const [how, pieces, late] of [
      ['octet by octet', singly(octets), false],
      ['cut', cut(octets, session.cuts), false],
      ['answered late', [octets], true],
    ] as const) {
      // What is said in clear behind STARTTLS is the one thing that depends on the segment it came in.
      if (/STARTTLS/i.test(session.said.join(''))) continue
      assert.deepEqual(run(session, pieces, late), whole, how)
    }
  },
}

/** Commands that can be told apart have a reply each, in order, as many as there are. */
export const FRAMED: Target<Session> = {
  name: 'framed',
  cases: anySession.chain(session =>
    fc.array(framedCommand, { maxLength: 16 }).map(said => ({ ...session, said: ['EHLO c.example\r\n', ...said] })),
  ),
  check(session) {
    const seen = run(session, [bytes(session.said.join(''))], false)
    const replies = checkReplies(seen)
    const hungUp = replies.at(-1)?.startsWith('421')
    if (!hungUp) assert.equal(replies.length, session.said.length + 1)
  },
}

/** The same over TLS: what is said before the handshake leaves nothing behind it. */
export const SECURED: Target<Session> = {
  name: 'secured',
  cases: anySession.chain(session =>
    fc.record({ before: clientSession, after: clientSession }).map(({ before, after }) => ({
      ...session,
      said: [...before.slice(0, 6), 'EHLO c.example\r\n', 'RSET\r\n', 'STARTTLS\r\n', ...after],
    })),
  ),
  check(session) {
    // Behind STARTTLS in one piece it is another dialogue, and `SERVER` has it.
    if (session.said.some(item => /STARTTLS/i.test(item) && item !== 'STARTTLS\r\n')) return
    const items = session.said.map(bytes)
    const whole = runGroups(
      session,
      items.map(item => [item]),
      false,
    )
    checkReplies(whole)
    assert.deepEqual(runGroups(session, items.map(singly), false), whole, 'octet by octet')
  },
}
