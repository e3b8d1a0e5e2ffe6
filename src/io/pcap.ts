/** Packet captures, pcap and pcapng, read in pieces: what a file of any size costs is one packet and a buffer. */
import { closeSync, openSync, readSync } from 'node:fs'
import { PosternError } from '../base/problem.ts'

export interface Packet {
  /** Of libpcap: 1 Ethernet, 101 raw IP, 113 and 276 Linux cooked, 0 and 108 loopback. */
  readonly linkType: number
  /** Which interface it was captured at, where the file tells. */
  readonly port: number
  /** Milliseconds since 1970. */
  readonly at: number
  readonly octets: Uint8Array
}

/** A packet or a block longer than this is none: the file is broken. */
export const MAX_BLOCK: number = 16 * 1024 * 1024
const CHUNK = 1024 * 1024

const MAGIC = {
  d4c3b2a1: { little: true, nano: false },
  a1b2c3d4: { little: false, nano: false },
  '4d3cb2a1': { little: true, nano: true },
  a1b23c4d: { little: false, nano: true },
} as const

/** Does the file begin as a capture does? */
export function isCapture(head: Uint8Array): boolean {
  const magic = Buffer.from(head.subarray(0, 4)).toString('hex')
  return magic in MAGIC || magic === '0a0d0d0a'
}

/** A file as octets, by a window that moves on. */
class Source {
  readonly #file: number
  readonly path: string
  #held: Buffer = Buffer.alloc(0)
  #at = 0
  #offset = 0

  constructor(path: string) {
    this.path = path
    try {
      this.#file = openSync(path, 'r')
    } catch (cause) {
      throw broken(path, (cause as Error).message, cause)
    }
  }

  /** Exactly so many octets, valid until the next call; `undefined` at a clean end. */
  take(count: number, mayEnd = false): Buffer | undefined {
    if (count > MAX_BLOCK) throw broken(this.path, `at octet ${this.#offset}: a block of ${count} octets is none`)
    while (this.#held.length - this.#at < count) {
      const next = Buffer.allocUnsafe(Math.max(CHUNK, count))
      const read = this.#read(next)
      if (read === 0) {
        if (this.#held.length === this.#at && mayEnd) return undefined
        throw new Truncated(this.path, this.#offset)
      }
      this.#held = Buffer.concat([this.#held.subarray(this.#at), next.subarray(0, read)])
      this.#at = 0
    }
    const taken = this.#held.subarray(this.#at, this.#at + count)
    this.#at += count
    this.#offset += count
    return taken
  }

  #read(into: Buffer): number {
    try {
      return readSync(this.#file, into)
    } catch (cause) {
      throw broken(this.path, (cause as Error).message, cause)
    }
  }

  close(): void {
    closeSync(this.#file)
  }
}

function broken(path: string, why: string, cause?: unknown): PosternError {
  return new PosternError('POSTERN_CAPTURE', `cannot read the capture ${path}: ${why}`, {
    side: 'us',
    retry: 'never',
    cause,
  })
}

/** The file ends within a packet: what came before counts. */
class Truncated extends Error {
  constructor(path: string, offset: number) {
    super(`${path} ends in the middle of a packet, at octet ${offset}`)
  }
}

/** All packets, in the order of the file. `note` hears what a reader must know: a file that ends early. */
export function* packets(path: string, note: (text: string) => void): Generator<Packet> {
  const source = new Source(path)
  try {
    const magic = source.take(4)?.toString('hex') ?? ''
    const old = magic in MAGIC ? MAGIC[magic as keyof typeof MAGIC] : undefined
    if (old) yield* oldPackets(source, old)
    else if (magic === '0a0d0d0a') yield* newPackets(source)
    else throw broken(path, 'it begins neither as pcap nor as pcapng')
  } catch (cause) {
    if (!(cause instanceof Truncated)) throw cause
    note(cause.message)
  } finally {
    source.close()
  }
}

function* oldPackets(
  source: Source,
  { little, nano }: { readonly little: boolean; readonly nano: boolean },
): Generator<Packet> {
  const head = source.take(20)
  if (!head) return
  const u32 = (at: Buffer, offset: number) => (little ? at.readUInt32LE(offset) : at.readUInt32BE(offset))
  // The upper bits tell of checksums behind frames.
  const linkType = u32(head, 16) & 0xffff
  for (;;) {
    const each = source.take(16, true)
    if (!each) return
    const [seconds, fraction, length] = [u32(each, 0), u32(each, 4), u32(each, 8)]
    const octets = source.take(length)
    if (octets) yield { linkType, port: 0, at: seconds * 1_000 + fraction / (nano ? 1e6 : 1e3), octets }
  }
}

const SECTION = 0x0a0d0d0a
const INTERFACE = 1
const SIMPLE = 3
const ENHANCED = 6
const OPTION_RESOLUTION = 9
/** Interfaces of one section. */
const MAX_PORTS = 1_000

function* newPackets(source: Source): Generator<Packet> {
  let little = true
  let ports: { readonly linkType: number; readonly perMs: number; readonly most: number }[] = []
  let isFirst = true
  const u32 = (at: Buffer, offset: number) => (little ? at.readUInt32LE(offset) : at.readUInt32BE(offset))
  const u16 = (at: Buffer, offset: number) => (little ? at.readUInt16LE(offset) : at.readUInt16BE(offset))
  for (;;) {
    let type = SECTION
    if (!isFirst) {
      const word = source.take(4, true)
      if (!word) return
      type = word.readUInt32LE(0) === SECTION ? SECTION : u32(word, 0)
    }
    isFirst = false
    const size = Buffer.from(source.take(4) ?? [])
    if (type === SECTION) {
      const order = source.take(4)?.toString('hex')
      if (order !== '4d3c2b1a' && order !== '1a2b3c4d') throw broken(source.path, 'a section without a byte order')
      little = order === '4d3c2b1a'
      ports = []
      const rest = u32(size, 0) - 12
      if (rest < 4) throw broken(source.path, 'a section block that is too short')
      source.take(rest)
      continue
    }
    const rest = u32(size, 0) - 12
    if (rest < 0 || rest % 4 !== 0) throw broken(source.path, `a block of ${u32(size, 0)} octets`)
    const body = source.take(rest)
    source.take(4)
    if (!body) return
    if (type === INTERFACE && body.length >= 8 && ports.length < MAX_PORTS) {
      ports.push({ linkType: u16(body, 0), perMs: resolution(body, u16), most: u32(body, 4) })
    } else if (type === ENHANCED && body.length >= 20) {
      const port = u32(body, 0)
      const known = ports[port]
      const length = u32(body, 12)
      if (!known || length > body.length - 20) continue
      const at = (u32(body, 4) * 2 ** 32 + u32(body, 8)) / known.perMs
      yield { linkType: known.linkType, port, at, octets: body.subarray(20, 20 + length) }
    } else if (type === SIMPLE && body.length >= 4 && ports[0]) {
      const length = Math.min(u32(body, 0), ports[0].most === 0 ? Infinity : ports[0].most, body.length - 4)
      yield { linkType: ports[0].linkType, port: 0, at: 0, octets: body.subarray(4, 4 + length) }
    }
  }
}

/** Units of a timestamp in a millisecond: microseconds where nothing is said. */
function resolution(body: Buffer, u16: (at: Buffer, offset: number) => number): number {
  for (let at = 8; at + 4 <= body.length; ) {
    const [code, length] = [u16(body, at), u16(body, at + 2)]
    if (code === 0) break
    const value = body[at + 4] ?? 6
    if (code === OPTION_RESOLUTION && length === 1 && at + 4 < body.length) {
      return ((value & 0x80) === 0 ? 10 ** value : 2 ** (value & 0x7f)) / 1_000
    }
    at += 4 + length + ((4 - (length % 4)) % 4)
  }
  return 1_000
}
