/** Small clients: one that hands in a message, and one that says a line and hears the reply. */
import { text } from '../base/bytes.ts'
import { PosternError } from '../base/problem.ts'
import type { Duration } from '../base/time.ts'
import { dial, type Endpoint, type Socket } from '../io/sockets.ts'
import type { MailFolder } from '../lab/config.ts'
import type { Order } from '../mta/attempt.ts'
import type { Mailbox } from '../smtp/address.ts'
import { LineSplitter } from '../smtp/line.ts'
import { MAX_REPLY_LINES, ReplyReader } from '../smtp/reply.ts'
import { type Outcome, sayOutcome } from '../spool/entry.ts'
import { runAttempt } from './delivery.ts'

/** A message to hand in; to one person, or to several. */
export type Submission = Pick<MailFolder, 'entry' | 'from'> & { readonly to: Mailbox | readonly Mailbox[] }

/** Hands in one message. Gives back why it was refused, or nothing. */
export async function submit(to: Endpoint, folder: Submission, content: Uint8Array): Promise<string | undefined> {
  const recipients = [folder.to].flat()
  const order: Order = {
    hello: `client.${folder.from.domain}`,
    to: folder.entry,
    envelope: {
      from: folder.from,
      recipients: recipients.map(each => ({ to: each })),
      smtputf8: false,
      body: content.some(octet => octet > 127) ? '8bitmime' : '7bit',
    },
    recipients: [...recipients.keys()],
    size: content.length,
    outcome: 'relayed',
  }
  const outcomes: Outcome[] = []
  async function* body(): AsyncIterable<Uint8Array> {
    yield content
  }
  await runAttempt(
    await dial(to),
    { order, body },
    {
      outcome: (_recipient, outcome) => outcomes.push(outcome),
    },
  )
  if (outcomes.length === 0) return 'no answer'
  const refused = outcomes.find(({ kind }) => kind !== 'relayed')
  return refused && sayOutcome(refused)
}

/** A conversation held by hand: each line asked waits for its reply, which comes as the lines that were heard. */
export interface Conversation {
  hear(): Promise<readonly string[]>
  ask(line: string): Promise<readonly string[]>
  close(): void
}

const ANSWER_WAIT: Duration = 10_000

export async function converse(socket: Socket): Promise<Conversation> {
  const splitter = new LineSplitter()
  const reader = new ReplyReader()
  const replies: (readonly string[])[] = []
  let wake: () => void = () => {}
  let over = false
  const end = () => {
    over = true
    wake()
  }
  socket.on('data', chunk => {
    splitter.push(chunk)
    for (let heard = reader.next(splitter); heard; heard = reader.next(splitter)) {
      if ('fault' in heard || replies.length > MAX_REPLY_LINES) {
        socket.destroy()
        return
      }
      replies.push(heard.lines.map(({ bytes }) => text(bytes)))
    }
    wake()
  })
  socket.on('end', end).on('close', end).on('error', end)
  socket.resume()
  const hear = async (): Promise<readonly string[]> => {
    const timer = setTimeout(() => socket.destroy(), ANSWER_WAIT)
    while (replies.length === 0 && !over) {
      await new Promise<void>(resolve => {
        wake = resolve
      })
    }
    clearTimeout(timer)
    return replies.shift() ?? []
  }
  return {
    hear,
    ask: line => {
      if (/[\r\n\0]/.test(line)) {
        throw new PosternError('POSTERN_LINE', 'a line holds a line end', { side: 'us', retry: 'never' })
      }
      socket.write(`${line}\r\n`)
      return hear()
    },
    close: () => socket.destroy(),
  }
}
