/**
 * The proxy's idea of where the dialogue is, against that of a server that takes and refuses at random: after every reply
 * they must be the same, whatever the client says, in whatever groups, however it is cut.
 */
import assert from 'node:assert/strict'
import { test } from 'node:test'
import fc from 'fast-check'
import { anyCuts, cut, runs } from '../base/any-bytes.test.ts'
import { bytes, text } from '../base/bytes.ts'
import type { ProxyPolicy } from './proxy.ts'
import { type Backend, strictly, Through } from './through.test.ts'

/** What a server knows of its transaction. */
interface State {
  readonly open: boolean
  readonly recipients: number
}

/** Written from RFC 5321 and 3030, and from nothing of ours: a table in two places proves nothing. */
class Reference implements Backend {
  readonly #takes: () => boolean
  readonly #extensions: readonly string[]
  /** The state as each reply left it, in their order. */
  readonly states: State[] = []
  took = 0
  #held = ''
  #hello = false
  #open = false
  #recipients = 0
  #inBody = false
  #chunksBegun = false
  #chunk: { left: number; last: boolean; refuse: string } | undefined
  #line = ''

  constructor(takes: () => boolean, extensions: readonly string[]) {
    this.#takes = takes
    this.#extensions = extensions
  }

  open(): string {
    return this.#say('220 reference.example ESMTP')
  }

  end(): void {}

  #say(reply: string): string {
    this.states.push({ open: this.#open, recipients: this.#recipients })
    return `${reply}\r\n`
  }

  #forget(): void {
    this.#open = false
    this.#recipients = 0
    this.#chunksBegun = false
  }

  receive(octets: Uint8Array): string {
    this.#held += text(octets)
    let out = ''
    for (;;) {
      if (this.#chunk) {
        const piece = this.#held.slice(0, this.#chunk.left)
        this.#held = this.#held.slice(piece.length)
        this.#chunk.left -= piece.length
        if (this.#chunk.left > 0) return out
        out += this.#endChunk(this.#chunk)
        continue
      }
      const end = this.#held.indexOf('\r\n')
      if (end < 0) return out
      this.#line = this.#held.slice(0, end)
      this.#held = this.#held.slice(end + 2)
      if (!this.#inBody) out += this.#command()
      else if (this.#line === '.') {
        this.#inBody = false
        out += this.#endMessage()
      }
    }
  }

  #endMessage(): string {
    const takes = this.#takes()
    if (takes) this.took++
    this.#forget()
    return this.#say(takes ? '250 2.0.0 queued' : '554 5.6.0 no')
  }

  #endChunk({ last, refuse }: { last: boolean; refuse: string }): string {
    this.#chunk = undefined
    if (refuse !== '') return this.#say(refuse)
    if (last) return this.#endMessage()
    this.#chunksBegun = true
    // A refused chunk leaves the transaction; only RSET or a hello ends it.
    return this.#say(this.#takes() ? '250 2.0.0 chunk' : '452 4.3.1 no room')
  }

  #command(): string {
    const [, verb = '', rest = ''] = /^(\S+) ?(.*)$/.exec(this.#line) ?? []
    switch (verb) {
      case 'EHLO': {
        if (rest === '' || !this.#takes()) return this.#say('501 5.5.4 no')
        this.#hello = true
        this.#forget()
        const list = ['reference.example', ...this.#extensions]
        const said = list.map((each, i) => `250${i === list.length - 1 ? ' ' : '-'}${each}`).join('\r\n')
        return this.#say(said)
      }
      case 'HELO':
        if (!this.#takes()) return this.#say('501 5.5.4 no')
        this.#hello = true
        this.#forget()
        return this.#say('250 reference.example')
      case 'MAIL':
        if (!this.#hello || this.#open) return this.#say('503 5.5.1 not now')
        if (!this.#takes()) return this.#say('451 4.7.1 later')
        this.#open = true
        return this.#say('250 2.1.0 ok')
      case 'RCPT':
        if (!this.#open || this.#chunksBegun) return this.#say('503 5.5.1 not now')
        if (!this.#takes()) return this.#say('550 5.1.1 unknown')
        this.#recipients++
        return this.#say('250 2.1.5 ok')
      case 'DATA':
        if (this.#recipients === 0 || this.#chunksBegun) return this.#say('503 5.5.1 not now')
        if (!this.#takes()) return this.#say('451 4.3.0 not today')
        this.#inBody = true
        return this.#say('354 go')
      case 'BDAT': {
        const found = /^(\d+)( LAST)?$/.exec(rest)
        const refuse = this.#recipients === 0 ? '503 5.5.1 not now' : ''
        this.#chunk = { left: Number(found?.[1] ?? 0), last: found?.[2] !== undefined, refuse }
        return this.#chunk.left === 0 ? this.#endChunk(this.#chunk) : ''
      }
      case 'RSET':
        this.#forget()
        return this.#say('250 2.0.0 ok')
      case 'QUIT':
        return this.#say('221 2.0.0 bye')
      default:
        return this.#say('250 2.0.0 ok')
    }
  }
}

const said = fc.constantFrom(
  'EHLO c.example\r\n',
  'EHLO\r\n',
  'HELO c.example\r\n',
  'MAIL FROM:<a@x.example>\r\n',
  'MAIL FROM:<> BODY=BINARYMIME\r\n',
  'MAIL FROM:nobody\r\n',
  'RCPT TO:<b@y.example>\r\n',
  'RCPT TO:<c@y.example>\r\n',
  'RCPT TO:<c%z@y.example>\r\n',
  'DATA\r\n',
  'DATA\r\nS: x\r\n\r\nb\r\n.\r\n',
  'S: x\r\n\r\n.b\r\n.\r\n',
  'S: x\r\n\r\nb\n.\r\nMAIL FROM:<smug@x.example>\r\n.\r\n',
  '.\r\n',
  'RSET\r\n',
  'NOOP\r\n',
  'VRFY b\r\n',
  'BDAT 6\r\nS: x\r\n',
  'BDAT 4\r\nS: \r',
  'BDAT 6 LAST\r\nRSET\r\n',
  'BDAT 4 LAST\r\na\nb\n',
  'BDAT 0 LAST\r\n',
  'BDAT 0\r\n',
  'BDAT 5 X\r\n',
  'MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n',
  'MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nRCPT TO:<c@y.example>\r\nBDAT 3 LAST\r\nabc',
  'AUTH PLAIN\r\n',
  'QUIT\r\n',
)
const dialogue = fc.array(said, { minLength: 1, maxLength: 25 })
const extensions = fc.subarray(['PIPELINING', 'SIZE 1000000', 'CHUNKING', 'BINARYMIME', '8BITMIME'])

function converse(
  policy: ProxyPolicy,
  groups: readonly (readonly string[])[],
  { cuts, offered, takes }: { cuts: readonly number[]; offered: readonly string[]; takes: () => boolean },
): { readonly heard: string; readonly took: number; readonly states: readonly State[]; readonly sent: string } {
  const servers: Reference[] = []
  const through = new Through(() => {
    const server = new Reference(takes, offered)
    servers.push(server)
    return server
  }, policy)
  let of = servers.length
  let heard = 1 // the greeting
  through.onReply = () => {
    if (of !== servers.length) heard = 0
    of = servers.length
    const { phase, recipients } = through.proxy
    if (phase === 'closed') return
    const open = phase === 'mail' || phase === 'rcpt' || phase === 'body' || phase === 'chunks'
    assert.deepEqual({ open, recipients }, servers.at(-1)?.states[heard++], `after reply ${heard}, in ${phase}`)
  }
  for (const group of ['EHLO c.example\r\n', ...groups.map(each => each.join(''))]) {
    for (const piece of cut(bytes(group), cuts)) through.say(text(piece))
  }
  // What the client was told is kept is kept, and the other way round.
  const took = servers.reduce((sum, server) => sum + server.took, 0)
  const told = through.heard.match(/^250 2\.0\.0 queued\r$/gm)?.length ?? 0
  assert.equal(told, took)
  return { heard: through.heard, took, states: servers.flatMap(({ states }) => states), sent: through.sent.join('') }
}

for (const talkingAhead of ['wait', 'refuse'] as const) {
  test(`after every reply the proxy knows the server's transaction (talking ahead: ${talkingAhead})`, () => {
    const policy = strictly({ engine: { talkingAhead }, errors: 1000, invalidRecipients: 1000 })
    fc.assert(
      fc.property(
        fc.array(dialogue, { maxLength: 6 }),
        anyCuts,
        extensions,
        fc.infiniteStream(fc.integer({ min: 0, max: 9 })),
        (groups, cuts, offered, chance) => {
          converse(policy, groups, { cuts, offered, takes: () => (chance.next().value ?? 0) < 7 })
        },
      ),
      runs(1500),
    )
  })
}

/** What an observer of such dialogues has taken wrongly, each in its own words; the property above holds all of them. */
const CASES = {
  'a hello that is refused keeps the transaction': {
    says: [
      'MAIL FROM:<a@x.example>\r\n',
      'RCPT TO:<b@y.example>\r\n',
      'EHLO c.example\r\n',
      'DATA\r\n',
      'S: x\r\n.\r\n',
    ],
    takes: [true, true, true, false, true, true],
    codes: [220, 250, 250, 250, 501, 354, 250],
    took: 1,
  },
  'RSET in one piece with the end of data comes after it, and the message is kept': {
    says: [
      'MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n',
      'S: x\r\n.\r\nRSET\r\nMAIL FROM:<c@x.example>\r\n',
    ],
    takes: [true, true, true, true, true, true],
    codes: [220, 250, 250, 250, 354, 250, 250, 250],
    took: 1,
  },
  'DATA that is refused in its group leaves the recipients, and what is behind it are commands': {
    says: [
      'MAIL FROM:<a@x.example>\r\nRCPT TO:<b@y.example>\r\nDATA\r\n',
      'RCPT TO:<c@y.example>\r\n',
      'DATA\r\n',
      'S: x\r\n.\r\n',
    ],
    takes: [true, true, true, false, true, true, true],
    codes: [220, 250, 250, 250, 451, 250, 354, 250],
    took: 1,
  },
  'a chunk with a tail that nobody understands has no frame: it is the last that is heard': {
    says: [
      'MAIL FROM:<a@x.example>\r\n',
      'RCPT TO:<b@y.example>\r\n',
      'BDAT 5 LASTX\r\nabcdeRSET\r\nMAIL FROM:<smug@x.example>\r\n',
    ],
    takes: [true, true, true],
    codes: [220, 250, 250, 250, 501],
    took: 0,
  },
} as const

for (const [name, { says, takes, codes, took }] of Object.entries(CASES)) {
  test(name, () => {
    for (const cuts of [[], [1], [7, 3]]) {
      const answers = takes.values()
      const outcome = converse(
        strictly(),
        says.map(each => [each]),
        {
          cuts,
          offered: ['PIPELINING', 'CHUNKING'],
          takes: () => answers.next().value ?? false,
        },
      )
      const heard = outcome.heard.match(/^\d{3}(?= )/gm)?.map(Number)
      assert.deepEqual(heard, codes)
      assert.equal(outcome.took, took)
      assert.doesNotMatch(outcome.sent, /smug/)
    }
  })
}
