/** Dialogues as other programs write them down: swaks, openssl, Postfix, Exchange, and our own transcripts. */
import { bytes, utf8 } from '../base/bytes.ts'
import { parseTranscript } from '../transcript/parse.ts'
import { spokenBy } from '../transcript/transcript.ts'
import type { FarRecord } from './far-side.ts'
import { hear, type Piece } from './hearing.ts'
import type { Exchange, Observation } from './observation.ts'
import { recordOf } from './sides.ts'

/** A dialogue read from a file, with its other end where the file has it. */
export interface Read {
  readonly observation: Observation
  readonly far?: readonly FarRecord[]
}

/** Which program wrote it; `undefined` for none that is known. */
export function readWritten(content: string, file: string): Read | undefined {
  const lines = content.split(/\r?\n/)
  for (const [isOne, read] of READERS) {
    if (!isOne(lines)) continue
    const found = read(content, lines, file)
    if (found.observation.exchanges.length > 0) return found
  }
  return undefined
}

type Reader = (content: string, lines: readonly string[], file: string) => Read

const READERS: readonly (readonly [(lines: readonly string[]) => boolean, Reader])[] = [
  [lines => lines.includes('-- dialogue --'), readTranscript],
  [lines => lines.some(line => /^(?: ->|<- |<\*\*| ~>|<~ |<~\*)/.test(line)), readSwaks],
  [lines => lines.some(line => /^#Fields: .*\bdata\b/i.test(line)), readExchange],
  [lines => lines.some(line => /postfix(?:\/[\w-]+)*\/(?:smtp|smtpd|lmtp)\[\d+\]: /.test(line)), readPostfix],
  [lines => lines.some(line => /^CONNECTED\([0-9A-F]{8}\)/.test(line)), readOpenssl],
]

function observed(file: string, target: string, exchanges: readonly Exchange[], notes: readonly string[] = []): Read {
  return { observation: { vantage: file, target: target === '' ? file : target, exchanges, notes } }
}

const line = (by: Piece['by'], words: string): Piece => ({ by, octets: octetsOf(`${words}\r\n`) })

function octetsOf(words: string): Uint8Array {
  return /[^\x00-\xff]/.test(words) ? utf8(words) : bytes(words)
}

function readTranscript(content: string, _lines: readonly string[], file: string): Read {
  const { transcript, problems } = parseTranscript(content, file)
  const notes = problems.map(({ message, at }) => `${file}:${at?.line ?? 1}: ${message}`)
  const near: Piece[][] = []
  const far: Piece[][] = []
  let last: { readonly by: Piece['by']; readonly octets: Uint8Array; readonly outs: Piece[] } | undefined
  let isAltered = false
  const flush = () => {
    if (!last) return
    const { by, octets, outs } = last
    const [said, heard] = by === 'C' ? [near, far] : [far, near]
    said.at(-1)?.push({ by, octets })
    heard.at(-1)?.push(...(outs.length > 0 ? outs : [{ by, octets }]))
    last = undefined
  }
  for (const turn of transcript.dialogue) {
    if ((turn.kind === 'direction' && turn.text.startsWith('client connects')) || near.length === 0) {
      flush()
      near.push([])
      far.push([])
    }
    const spoken = spokenBy(turn, transcript.sections)
    if (spoken) {
      flush()
      last = { ...spoken, octets: spoken.bytes, outs: [] }
    } else if (last && turn.kind === 'heard') {
      last.outs.push({ by: last.by, octets: turn.bytes })
      isAltered = true
    } else if (last && turn.kind === 'lost') {
      last.outs.push({ by: last.by, octets: new Uint8Array(0) })
      isAltered = true
    } else if (turn.kind === 'firewall') {
      flush()
      near.at(-1)?.push({ by: 'S', octets: turn.bytes })
    }
  }
  flush()
  const exchanges = near.flatMap((pieces, i) => hear(i + 1, pieces))
  const read = observed(file, transcript.headers.get('target') ?? '', exchanges, notes)
  if (!isAltered) return read
  return { ...read, far: far.map((pieces, i) => recordOf(hear(i + 1, pieces))) }
}

/** `--> sent`, `<-- heard`, with `~` in TLS. */
function readSwaks(_content: string, lines: readonly string[], file: string): Read {
  const sessions: { readonly clear: Piece[]; readonly secured: Piece[] }[] = []
  let target = ''
  for (const text of lines) {
    const trying = /^=== (?:Trying|Connected to) (\S+?)(?::(\d+))?\.*$/.exec(text)
    if (trying) {
      if (text.startsWith('=== Trying')) target = `${trying[1]}:${trying[2] ?? 25}`
      if (text.startsWith('=== Connected')) sessions.push({ clear: [], secured: [] })
      continue
    }
    const [, arrow, words = ''] = /^( ->|<- |<\*\*| ~>|<~ |<~\*) ?(.*)$/.exec(text) ?? []
    if (arrow === undefined) continue
    if (sessions.length === 0) sessions.push({ clear: [], secured: [] })
    const session = sessions.at(-1)
    const by = arrow.includes('>') ? 'C' : 'S'
    ;(arrow.includes('~') ? session?.secured : session?.clear)?.push(line(by, words))
  }
  const exchanges = sessions.flatMap(({ clear, secured }, i) => [...hear(i + 1, clear), ...inTls(i + 1, secured)])
  return observed(file, target, exchanges)
}

function inTls(session: number, pieces: readonly Piece[]): readonly Exchange[] {
  if (pieces.length === 0) return []
  // In TLS nobody greets: the place of the greeting is taken.
  return hear(session, [line('S', '220 in TLS'), ...pieces])
    .slice(1)
    .map(exchange => ({ ...exchange, secured: true }))
}

/** `openssl s_client -starttls smtp`: what it says of the clear part is little, and said. */
function readOpenssl(_content: string, lines: readonly string[], file: string): Read {
  const notes: string[] = []
  const pieces: Piece[] = []
  let isTls = false
  for (const text of lines) {
    if (/Didn't find STARTTLS in server response/i.test(text))
      notes.push('openssl did not find STARTTLS in the reply to EHLO')
    if (/wrong version number/i.test(text)) notes.push('openssl heard words where TLS was due: STARTTLS was refused')
    if (/^SSL-Session:|^Verify return code:|^New, TLS/.test(text.trim())) isTls = true
    if (/^\d{3}[ -]/.test(text)) pieces.push(line('S', text))
    else if (isTls && /^(?:EHLO|HELO|NOOP|QUIT|MAIL|RCPT|DATA|RSET|HELP)\b/i.test(text)) pieces.push(line('C', text))
  }
  const target = lines
    .map(text => /^(?:Connecting to|depth=0 CN ?= ?)\s*(\S+)/.exec(text)?.[1])
    .find(each => each !== undefined)
  const exchanges = hear(1, pieces.length > 0 ? pieces : [line('S', '220 (openssl does not print the greeting)')])
  return observed(
    file,
    target ?? '',
    exchanges.map(each => ({ ...each, secured: isTls })),
    notes,
  )
}

/** Postfix with `-v` or `debug_peer_list` writes the dialogue; without, it writes what it made of it. */
function readPostfix(_content: string, lines: readonly string[], file: string): Read {
  const sessions = new Map<string, Piece[]>()
  const notes = new Set<string>()
  let target = ''
  for (const text of lines) {
    const [, process = '', said = ''] = /postfix(?:\/[\w-]+)*\/((?:smtp|smtpd|lmtp)\[\d+\]): (.*)$/.exec(text) ?? []
    if (process === '') continue
    const [, arrow, peer = '', words = ''] = /^([<>]) ([^\s:]+(?:\[[^\]]*\])?(?::\d+)?): (.*)$/.exec(said) ?? []
    const isServer = process.startsWith('smtpd')
    if (arrow !== undefined) {
      if (!isServer) target = peer
      const key = `${process} ${peer}`
      const pieces = sessions.get(key) ?? []
      sessions.set(key, pieces)
      const by = (arrow === '>') !== isServer ? 'C' : 'S'
      pieces.push(line(by, words))
      continue
    }
    const pix = /enabling PIX workarounds: (.+?) for (\S+)/.exec(said)
    if (pix) {
      target = pix[2] ?? target
      notes.add(
        `Postfix took the greeting of ${pix[2]} for that of a PIX (${pix[1]}): it was made of 2, 0, stars and blanks`,
      )
      const key = `${process} workarounds`
      if (!sessions.has(key)) sessions.set(key, [line('S', '220 ************')])
    }
    const [, host = '', words2 = '', command = ''] =
      /(?:host|relay=) ?(\S+?),? (?:said|refused to talk to me): (.+?)(?: \(in reply to ([A-Z -]+?) command\))?\)?$/.exec(
        said,
      ) ?? []
    if (words2 !== '' && /^\d{3}/.test(words2)) {
      target = target === '' ? host : target
      const key = `${process} ${host} said`
      const pieces = sessions.get(key) ?? [line('S', '220 (the log has no greeting)')]
      sessions.set(key, pieces)
      pieces.push(line('C', command === '' ? 'MAIL' : command), line('S', words2))
    }
  }
  const exchanges = [...sessions.values()].flatMap((pieces, i) => hear(i + 1, pieces))
  return observed(file, target, exchanges, [...notes])
}

/** `#Fields: date-time,connector-id,session-id,sequence-number,local-endpoint,remote-endpoint,event,data,context`. */
function readExchange(_content: string, lines: readonly string[], file: string): Read {
  let fields: readonly string[] = []
  let isReceive = false
  let target = ''
  const sessions = new Map<string, Piece[]>()
  for (const text of lines) {
    if (/^#Log-type: .*Receive/i.test(text)) isReceive = true
    if (/^#Log-type: .*Send/i.test(text)) isReceive = false
    if (/^#Fields: /i.test(text))
      fields = text
        .slice('#Fields: '.length)
        .split(',')
        .map(each => each.trim())
    if (text.startsWith('#') || text === '') continue
    const values = csv(text)
    const of = (name: string) => values[fields.indexOf(name)] ?? ''
    const event = of('event')
    if (event !== '<' && event !== '>') continue
    const by = (event === '>') !== isReceive ? 'C' : 'S'
    if (!isReceive) target = of('remote-endpoint')
    const pieces = sessions.get(of('session-id')) ?? []
    sessions.set(of('session-id'), pieces)
    pieces.push(line(by, of('data')))
  }
  return observed(
    file,
    target,
    [...sessions.values()].flatMap((pieces, i) => hear(i + 1, pieces)),
  )
}

/** One line of comma-separated values, quotation marks doubled inside quotation marks. */
function csv(text: string): readonly string[] {
  const values: string[] = []
  let value = ''
  let quoted = false
  for (let i = 0; i < text.length; i++) {
    const char = text[i]
    if (quoted) {
      if (char === '"' && text[i + 1] === '"') {
        value += '"'
        i++
      } else if (char === '"') quoted = false
      else value += char
    } else if (char === '"') quoted = true
    else if (char === ',') {
      values.push(value)
      value = ''
    } else value += char
  }
  return [...values, value]
}
