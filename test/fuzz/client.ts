/** The client machine, put through servers of every kind: those that lead it on, and those that lead it astray. */
import assert from 'node:assert/strict'
import fc from 'fast-check'
import { bytes } from '../../src/base/bytes.ts'
import type { Order } from '../../src/mta/attempt.ts'
import { MAX_REPLY_LINE } from '../../src/smtp/reply.ts'
import { ClientUnderTest, loginOf, orderOf } from '../vectors/client.ts'
import { anyServerNoise, EHLO_KEYWORDS } from './grammar.ts'
import { heldOctets } from './server.ts'
import type { Target } from './target.ts'

/** One thing that the server does, when it is its turn. */
interface Turn {
  /** `fitting`: the reply that leads on; the others are what they say. */
  readonly does: 'fitting' | 'refuses' | 'defers' | 'noise' | 'nothing' | 'waits' | 'hangs-up' | 'twice'
  readonly noise: string
  readonly cut: number
}

interface Dialogue {
  readonly turns: readonly Turn[]
  readonly keywords: readonly string[]
  readonly recipients: number
  readonly login: 'none' | 'required' | 'optional'
  readonly message: string
  /** Is the message handed in only at a turn that says so? */
  readonly holds: boolean
}

const anyTurn: fc.Arbitrary<Turn> = fc.record({
  does: fc.oneof(
    { arbitrary: fc.constant<Turn['does']>('fitting'), weight: 16 },
    fc.constantFrom<Turn['does']>('refuses', 'defers', 'noise', 'nothing', 'waits', 'hangs-up', 'twice'),
  ),
  noise: anyServerNoise,
  cut: fc.nat(100),
})

const anyDialogue: fc.Arbitrary<Dialogue> = fc.record({
  turns: fc.array(anyTurn, { minLength: 4, maxLength: 24 }),
  keywords: fc.array(fc.constantFrom(...EHLO_KEYWORDS), { maxLength: 6 }),
  recipients: fc.integer({ min: 1, max: 4 }),
  login: fc.constantFrom<Dialogue['login']>('none', 'none', 'optional', 'required'),
  holds: fc.boolean(),
  message: fc.constantFrom(
    'Subject: x\r\n\r\nhello\r\n',
    '.\r\n',
    '..\r\nno line end',
    '',
    'QUIT\r\n.\r\nMAIL FROM:<>\r\n',
  ),
})

/** What a server knows of the dialogue: only what it has heard. */
class ServerSide {
  #heard = ''
  /** In a message: until this many octets, or until the dot. */
  #body: { left: number } | 'dots' | undefined
  #login = 0
  #readyForData = false
  readonly #keywords: readonly string[]
  /** Whole messages heard, and for how many recipients. */
  wholes = 0
  accepted = 0
  /** A yes to a whole message was given. */
  yes = 0

  constructor(keywords: readonly string[]) {
    this.#keywords = keywords
  }

  hear(said: string): void {
    this.#heard += said
  }

  /** The next thing that wants a reply; `undefined` while there is none. */
  next(): 'message' | string | undefined {
    if (this.#body === 'dots') {
      const end = this.#heard.startsWith('.\r\n') ? 3 : this.#heard.indexOf('\r\n.\r\n') + 5
      if (end < 5 && !(end === 3 && this.#heard.startsWith('.\r\n'))) return undefined
      this.#heard = this.#heard.slice(end)
      this.#body = undefined
      this.wholes++
      return 'message'
    }
    if (this.#body) {
      if (this.#heard.length < this.#body.left) return undefined
      this.#heard = this.#heard.slice(this.#body.left)
      this.#body = undefined
      this.wholes++
      return 'message'
    }
    if (this.#readyForData) return undefined
    const end = this.#heard.indexOf('\r\n')
    if (end < 0) return undefined
    const line = this.#heard.slice(0, end)
    this.#heard = this.#heard.slice(end + 2)
    const size = /^BDAT (\d+)/.exec(line)?.[1]
    if (size !== undefined) {
      this.#body = { left: Number(size) }
      return this.next()
    }
    return line
  }

  /** The reply that leads on. */
  fitting(to: string): string {
    if (to === 'message') {
      this.yes += this.accepted
      this.accepted = 0
      return '250 2.0.0 queued\r\n'
    }
    if (/^EHLO/.test(to))
      return ['mx', ...this.#keywords]
        .map((line, i, all) => `250${i === all.length - 1 ? ' ' : '-'}${line}\r\n`)
        .join('')
    if (/^(?:X-EXPS|AUTH)/.test(to)) {
      this.#login = 2
      return '334 VXNlcm5hbWU6\r\n'
    }
    if (this.#login > 0) return --this.#login > 0 ? '334 UGFzc3dvcmQ6\r\n' : '235 2.7.0 welcome\r\n'
    if (/^RCPT/.test(to)) {
      this.accepted++
      return '250 2.1.5 ok\r\n'
    }
    if (/^DATA/.test(to)) {
      this.#body = 'dots'
      return '354 go\r\n'
    }
    if (/^QUIT/.test(to)) return '221 bye\r\n'
    return '250 ok\r\n'
  }
}

function order({ recipients, login, message }: Dialogue): Order {
  const base = orderOf({ order: { recipients: Array.from({ length: recipients }, (_, i) => `r${i}@example.org`) } })
  return {
    ...base,
    size: message.length,
    ...(login !== 'none' && { login: loginOf(login === 'required') }),
  }
}

/** A message on the wire, by DATA and by BDAT. */
function wholeOf(message: string): readonly string[] {
  const lines = message === '' || message.endsWith('\r\n') ? message : `${message}\r\n`
  return [`DATA\r\n${lines.replace(/^\./gm, '..')}.\r\n`, `BDAT ${message.length} LAST\r\n${message}`]
}

/**
 * Whatever a server says, every recipient has one outcome and the attempt ends; and nobody counts as delivered unless
 * the server heard the whole message and said yes to it.
 */
export const CLIENT: Target<Dialogue> = {
  name: 'client',
  cases: anyDialogue,
  check(dialogue) {
    const client = new ClientUnderTest(order(dialogue), { message: bytes(dialogue.message), holds: dialogue.holds })
    const server = new ServerSide(dialogue.keywords)
    let heard = 0
    let honest = true
    /** It said something that is not the reply to what it heard; from then on its word is no measure. */
    let yesByNoise = false
    const say = (octets: string, at: number) => {
      const middle = Math.floor((octets.length * at) / 100)
      for (const piece of [octets.slice(0, middle), octets.slice(middle)]) if (piece !== '') client.send(bytes(piece))
      assert.ok(client.closed || heldOctets() <= MAX_REPLY_LINE, `${heldOctets()} octets are held`)
    }
    let greeted = false
    for (const { does, noise, cut } of dialogue.turns) {
      if (client.wantsBody && cut > 60) client.giveBody()
      if (client.closed) break
      const said = client.said
      server.hear(said.slice(heard))
      heard = said.length
      const to = greeted ? server.next() : 'CONNECT'
      if (does === 'hangs-up') {
        client.end()
        break
      }
      if (does === 'waits') client.wait(60_000)
      if (does === 'noise' || does === 'twice') {
        honest = false
        if (/(?:^|\n)[23]\d\d/.test(noise) || does === 'twice') yesByNoise = true
      }
      if (does === 'noise') say(noise, cut)
      if (to === undefined || does === 'nothing' || does === 'waits' || does === 'noise') continue
      greeted = true
      const reply =
        does === 'refuses'
          ? '554 5.7.1 no\r\n'
          : does === 'defers'
            ? '451 4.3.0 later\r\n'
            : to === 'CONNECT'
              ? '220 mx\r\n'
              : server.fitting(to)
      say(does === 'twice' ? reply + reply : reply, cut)
    }
    client.wait(7_200_000)
    if (!client.closed) client.end()
    assert.ok(client.closed && client.done, 'it ends')
    const { outcomes, said } = client
    for (const outcome of outcomes) assert.ok(outcome !== undefined, 'every recipient has an outcome')
    const relayed = outcomes.filter(each => each?.startsWith('relayed')).length
    server.hear(said.slice(heard))
    if (!yesByNoise) assert.ok(relayed <= server.yes, `${relayed} relayed, and the server took it for ${server.yes}`)
    // Even from a liar a yes counts only once the whole message is out.
    if (relayed > 0)
      assert.ok(
        wholeOf(dialogue.message).some(whole => said.includes(whole)),
        'relayed, and not sent whole',
      )
    if (dialogue.login === 'required' && honest && relayed > 0)
      assert.match(said, /X-EXPS LOGIN\r\nYWxpY2U=\r\nczNjcmV0\r\n/)
    assert.doesNotMatch(said.replaceAll('\r\n', ''), /\0/)
  },
}
