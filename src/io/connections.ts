/** The SMTP connections of a capture, each heard to its end, in a memory that does not grow with the capture. */
import { text } from '../base/bytes.ts'
import { Hearing, type Piece, type Times } from '../diagnosis/hearing.ts'
import { type Exchange, MAX_HEARD } from '../diagnosis/observation.ts'
import { packets } from './pcap.ts'
import { type Segment, Stream, segmentOf } from './segments.ts'

export interface Connection {
  readonly client: string
  readonly server: string
  /** At which interface, where the capture tells. */
  readonly port: number
  /** Milliseconds since 1970. */
  readonly from: number
  readonly to: number
  readonly exchanges: readonly Exchange[]
  /** When each of them was. */
  readonly times: readonly Times[]
  /** Octets that the capture lacks. */
  readonly lost: number
  /** Its beginning was not captured. */
  readonly isPartial: boolean
}

export interface Capture {
  readonly connections: readonly Connection[]
  readonly packets: number
  readonly notes: readonly string[]
}

/** Connections that are followed at once; the oldest gives way. */
export const MAX_OPEN = 512
/** SMTP connections that are kept; of more, the first. */
export const MAX_CONNECTIONS = 200

const SMTP_PORTS: ReadonlySet<number> = new Set([25, 587, 2525])

interface Open {
  readonly key: string
  readonly client: string
  readonly server: string
  readonly port: number
  readonly session: number
  readonly streams: { readonly C: Stream; readonly S: Stream }
  readonly hearing: Hearing
  readonly isPartial: boolean
  readonly from: number
  to: number
  ends: number
  /** Octets that were read: what lies behind `MAX_HEARD` is counted off and not kept. */
  octets: number
  /** Is it SMTP? Undecided until the server has spoken. */
  isSmtp: boolean | undefined
}

/** Reads a whole capture. Throws a `PosternError` where the file is none. `ports`: where SMTP is spoken besides. */
export function readCapture(path: string, ports: readonly number[] = []): Capture {
  const notes: string[] = []
  const smtp = new Set([...SMTP_PORTS, ...ports])
  const open = new Map<string, Open>()
  const done: Connection[] = []
  let count = 0
  let left = 0
  const finish = (each: Open) => {
    open.delete(each.key)
    const connection = closed(each)
    if (!connection) return
    if (done.length < MAX_CONNECTIONS) done.push(connection)
    else left++
  }
  for (const packet of packets(path, note => notes.push(note))) {
    count++
    const found = segmentOf(packet)
    if (!found) continue
    const { segment } = found
    const port = found.port ?? packet.port
    const ends = [
      `${segment.source}:${segment.sourcePort}`,
      `${segment.destination}:${segment.destinationPort}`,
    ] as const
    const key = `${port} ${ends[0] < ends[1] ? ends.join(' ') : ends.toReversed().join(' ')}`
    let each = open.get(key)
    // The same ports again: another connection.
    if (each && segment.isSyn && !segment.isAck && each.ends > 0) {
      finish(each)
      each = undefined
    }
    if (!each) {
      // A stray end, or the last word of one that is done, begins nothing.
      if (segment.payload.length + segment.cut === 0 && !segment.isSyn) continue
      each = begun(key, segment, { port, at: packet.at, smtp, session: done.length + open.size + 1 })
      if (open.size >= MAX_OPEN) {
        const oldest = open.values().next().value
        if (oldest) finish(oldest)
      }
      open.set(key, each)
    }
    if (!take(each, segment, packet.at)) open.delete(key)
    else if (each.ends >= 2) finish(each)
  }
  for (const each of [...open.values()]) finish(each)
  if (left > 0) notes.push(`${left} SMTP connections beyond the first ${MAX_CONNECTIONS} were left out`)
  const connections = done.toSorted((a, b) => a.from - b.from)
  const lost = connections.reduce((sum, each) => sum + each.lost, 0)
  if (lost > 0) notes.push(`the capture lacks ${lost} octets of these connections: what stood there is not judged`)
  const partial = connections.filter(({ isPartial }) => isPartial).length
  if (partial > 0) notes.push(`of ${partial} connections the beginning was not captured`)
  return { connections, packets: count, notes }
}

function begun(
  key: string,
  segment: Segment,
  {
    port,
    at,
    smtp,
    session,
  }: { readonly port: number; readonly at: number; readonly smtp: ReadonlySet<number>; readonly session: number },
): Open {
  const { source, sourcePort, destination, destinationPort, isSyn, isAck, payload } = segment
  const isFromServer = isSyn
    ? isAck
    : smtp.has(sourcePort) ||
      (!smtp.has(destinationPort) && /^220[ -]/.test(text(payload, 0, Math.min(4, payload.length))))
  const [a, b] = [say(source, sourcePort), say(destination, destinationPort)]
  const [client, server] = isFromServer ? [b, a] : [a, b]
  return {
    key,
    client,
    server,
    port,
    session,
    streams: { C: new Stream(), S: new Stream() },
    hearing: new Hearing(session),
    isPartial: !isSyn,
    from: at,
    to: at,
    ends: 0,
    octets: 0,
    isSmtp: smtp.has(isFromServer ? sourcePort : destinationPort) ? true : undefined,
  }
}

function say(address: string, port: number): string {
  return address.includes(':') ? `[${address}]:${port}` : `${address}:${port}`
}

/** `false`: it is no SMTP, and need not be followed. */
function take(each: Open, segment: Segment, at: number): boolean {
  each.to = Math.max(each.to, at)
  const by = say(segment.source, segment.sourcePort) === each.client ? 'C' : 'S'
  // Enough is kept; the rest would only be more of the same.
  if (each.octets < MAX_HEARD) heard(each, by, each.streams[by].push(segment), at)
  if (segment.isEnd) each.ends++
  return each.isSmtp !== false
}

function heard(each: Open, by: Piece['by'], parts: readonly (Uint8Array | undefined)[], at: number): void {
  for (const octets of parts) {
    if (!octets) {
      each.hearing.lost(by)
      continue
    }
    each.octets += octets.length
    // An SMTP server speaks first, in digits; elsewhere the client does.
    if (each.isSmtp === undefined)
      each.isSmtp = by === 'S' && /^[245]\d/.test(text(octets, 0, Math.min(2, octets.length)))
    each.hearing.push({ by, octets, at })
  }
}

function closed(each: Open): Connection | undefined {
  for (const by of ['C', 'S'] as const) heard(each, by, each.streams[by].end(), each.to)
  const exchanges = each.hearing.end()
  if (each.isSmtp !== true || exchanges.length === 0) return undefined
  const { client, server, port, from, to, streams, isPartial, hearing } = each
  return {
    client,
    server,
    port,
    from,
    to,
    exchanges,
    times: hearing.times,
    lost: streams.C.lost + streams.S.lost,
    isPartial,
  }
}
