/** What is sent to find out whether it arrives as it was: each letter is hard on mail systems in a way of its own. */
import assert from 'node:assert/strict'
import { createHash, randomBytes, randomUUID } from 'node:crypto'
import { withoutTrace } from '../../src/mail/trace.ts'

export interface Letter {
  /** Stands in the subject, so that what arrives can be told apart. */
  readonly token: string
  readonly body: '7bit' | '8bitmime' | 'binarymime'
  readonly content: Buffer
}

export type Kind =
  | 'dot-led lines'
  | 'a dot at the end'
  | 'long lines'
  | 'endless lines'
  | '8-bit'
  | '25 MB'
  | 'binary'
  | 'a NUL'

/** RFC 5321 §4.5.3.1.6: a line of text may have this many octets, its end included. */
const LONGEST_LINE = 1000
const LARGE = 25 * 1024 * 1024

/** Every octet there is, thrice; no line of it, no end of data, is what it looks like. */
export const BINARY: Buffer = Buffer.concat([
  ...[0, 85, 170].map(from => Buffer.from(Array.from({ length: 256 }, (_, i) => (i + from) % 256))),
  Buffer.from('\r\n.\r\nMAIL FROM:<nobody@smuggled.example>\r\n\0\n.\n\r.\r no line end follows'),
])

const BODIES: Readonly<
  Record<Kind, () => { readonly body: Letter['body']; readonly type: string; readonly octets: Buffer }>
> = {
  'dot-led lines': () => text('7bit', '.\r\n..\r\n...\r\n.leading\r\n. \r\n.\r\nQUIT\r\n'),
  'a dot at the end': () => text('7bit', 'the end:\r\n.\r\n'),
  'long lines': () => {
    const line = 'x'.repeat(LONGEST_LINE - 2)
    // With a dot in front it has one more on the wire, which does not count (RFC 5321 §4.5.3.1.6).
    return text('7bit', `${line}\r\n.${line.slice(1)}\r\nshort\r\n${line}\r\n`)
  },
  // Beyond what RFC 5321 lets anybody send; they do, and who refuses or folds them breaks mail.
  'endless lines': () => text('7bit', `${'y'.repeat(5_000)}\r\n.${'z'.repeat(70_000)}\r\nshort\r\n`),
  '8-bit': () => {
    const high = Array.from({ length: 128 }, (_, i) => String.fromCharCode(128 + i)).join('')
    return text('8bitmime', `${high}\r\n${Buffer.from('Grüße, 你好, 🙂').toString('latin1')}\r\n.${high}\r\n`)
  },
  '25 MB': () => {
    // Of no pattern, so that nobody saves work by compressing or comparing.
    const lines = randomBytes(Math.ceil(LARGE / 78) * 57).toString('base64')
    return text('7bit', lines.replace(/.{76}/g, '$&\r\n'))
  },
  // RFC 5321 §2.3.8 and RFC 5322 §2.2 have no place for it, but mail systems that are not asked pass it on.
  'a NUL': () => text('7bit', 'before\0behind\r\n'),
  binary: () => ({
    body: 'binarymime',
    type: 'application/octet-stream\r\nContent-Transfer-Encoding: binary',
    octets: BINARY,
  }),
}

function text(body: Letter['body'], octets: string) {
  const encoding = body === '7bit' ? '7bit' : '8bit'
  const charset = body === '7bit' ? 'us-ascii' : 'iso-8859-1'
  const type = `text/plain; charset=${charset}\r\nContent-Transfer-Encoding: ${encoding}`
  return { body, type, octets: Buffer.from(octets, 'latin1') }
}

/** A letter with every field that a mail system might want to add. */
export function letter(kind: Kind, { from, to }: { readonly from: string; readonly to: string }): Letter {
  const token = randomUUID()
  const { body, type, octets } = BODIES[kind]()
  const header = [
    `From: <${from}>`,
    `To: <${to}>`,
    `Subject: ${kind} ${token}`,
    'Date: Tue, 04 Sep 2001 12:00:00 +0200',
    `Message-ID: <${token}@interop.example>`,
    'MIME-Version: 1.0',
    `Content-Type: ${type}`,
    '',
    '',
  ]
  return { token, body, content: Buffer.concat([Buffer.from(header.join('\r\n')), octets]) }
}

export function digest(octets: Uint8Array): string {
  return createHash('sha256').update(octets).digest('hex')
}

/** Holds when what arrived is what was sent, octet by octet, under nothing but trace fields. */
export function assertSame(arrived: Buffer, sent: Buffer): void {
  // The digests say it; where they differ, the first octet that does.
  if (
    digest(arrived.subarray(arrived.length - sent.length)) === digest(sent) &&
    'gained' in withoutTrace(arrived, sent)
  ) {
    return
  }
  const start = arrived.indexOf(sent.subarray(0, sent.indexOf('\r\n')))
  const body = start < 0 ? arrived : arrived.subarray(start)
  let at = 0
  while (at < sent.length && body[at] === sent[at]) at++
  const around = (octets: Buffer) => JSON.stringify(octets.subarray(Math.max(0, at - 40), at + 40).toString('latin1'))
  assert.fail(
    `arrived with ${body.length} octets, was sent with ${sent.length}, differs at ${at}: ${around(body)} instead of ${around(sent)}, under ${JSON.stringify(arrived.subarray(0, Math.max(0, start)).toString('latin1'))}`,
  )
}

export type Encoding = 'quoted-printable' | 'base64'

/** Holds when what arrived is what was sent, with a body that was encoded on its way and says so (RFC 2045 §6). */
export function assertEncoded(arrived: Buffer, sent: Buffer, encoding: Encoding): void {
  const [header, body] = cut(arrived)
  assert.ok(header.every(octet => octet < 128) && body.every(octet => octet < 128), 'it has octets above 127')
  assert.match(header.toString('latin1'), new RegExp(`^content-transfer-encoding: ${encoding}\r?$`, 'im'))
  const text = body.toString('latin1')
  assert.ok(!/[^\r\n]{77}/.test(text), 'an encoded line has more than 76 characters')
  const decoded = encoding === 'base64' ? Buffer.from(text, 'base64') : unquoted(text)
  assert.equal(digest(decoded), digest(cut(sent)[1]), `${decoded.length} octets instead of those that were sent`)
}

/** Header and body of a message. */
function cut(message: Buffer): readonly [Buffer, Buffer] {
  const end = message.indexOf('\r\n\r\n')
  assert.ok(end > 0, 'a message without a body')
  return [message.subarray(0, end + 2), message.subarray(end + 4)]
}

function unquoted(text: string): Buffer {
  const joined = text.replace(/=\r\n/g, '')
  return Buffer.from(
    joined.replace(/=([0-9A-F]{2})/g, (_, hex) => String.fromCharCode(Number.parseInt(hex, 16))),
    'latin1',
  )
}

/** The octets of the first part in base64. */
export function attachment(arrived: Buffer): Buffer {
  const found = /\r\ncontent-transfer-encoding: base64\r\n(?:[^\r]+\r\n)*\r\n([A-Za-z0-9+/=\r\n]+)/i.exec(
    arrived.toString('latin1'),
  )
  assert.ok(found?.[1], `no part in base64: ${arrived.toString('latin1').slice(0, 2000)}`)
  return Buffer.from(found[1], 'base64')
}

/** As SMTP carries it: what was stored with lone LF for line ends. */
export function withCrlf(stored: Buffer): Buffer {
  return Buffer.from(stored.toString('latin1').replace(/(?<!\r)\n/g, '\r\n'), 'latin1')
}
