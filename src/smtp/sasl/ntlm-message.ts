import { bytes, concat, equal, NO_BYTES, strictUtf8, text, utf8 } from '../../base/bytes.ts'

/**
 * The three messages of NTLM ([MS-NLMP] §2.2.1), taken apart and put together.
 *
 * Each has a fixed head, and in it fields that point behind it: length, room, offset. Every pointer is checked.
 */

/** [MS-NLMP] §2.2.2.5. */
export const FLAG = {
  unicode: 0x1,
  oem: 0x2,
  requestTarget: 0x4,
  sign: 0x10,
  seal: 0x20,
  ntlm: 0x200,
  anonymous: 0x800,
  alwaysSign: 0x8000,
  targetIsServer: 0x20000,
  extendedSessionSecurity: 0x80000,
  targetInfo: 0x800000,
  version: 0x2000000,
  key128: 0x20000000,
  keyExchange: 0x40000000,
  key56: 0x80000000,
} as const

/** [MS-NLMP] §2.2.2.1: what stands in a list of attributes. */
export const ATTRIBUTE = {
  end: 0,
  nbComputer: 1,
  nbDomain: 2,
  dnsComputer: 3,
  dnsDomain: 4,
  flags: 6,
  timestamp: 7,
} as const

/** In `ATTRIBUTE.flags`: the client's message has a MIC. */
export const HAS_MIC = 0x2
export const MIC_AT = 72
export const MIC_LENGTH = 16

export interface Attribute {
  readonly id: number
  readonly value: Uint8Array
}

export interface Negotiate {
  readonly flags: number
}

export interface Challenge {
  readonly flags: number
  /** 8 octets. */
  readonly challenge: Uint8Array
  readonly targetName: Uint8Array
  readonly targetInfo: Uint8Array
}

export interface Authenticate {
  readonly flags: number
  readonly lmResponse: Uint8Array
  readonly ntResponse: Uint8Array
  /** As they came: the proof is made over them, whatever the letters are. */
  readonly domain: Uint8Array
  readonly user: Uint8Array
  readonly workstation: Uint8Array
  readonly sessionKey: Uint8Array
  readonly whole: Uint8Array
}

const SIGNATURE = bytes('NTLMSSP\0')
/** Windows Server 2003, which nobody asks for: [MS-NLMP] §2.2.2.10 has it for debugging only. */
const VERSION = Uint8Array.of(5, 2, 0xce, 0x0e, 0, 0, 0, 15)

export function parseNegotiate(message: Uint8Array): Negotiate | undefined {
  const flags = isOfType(message, 1) ? uint32(message, 12) : undefined
  return flags === undefined ? undefined : { flags }
}

export function parseChallenge(message: Uint8Array): Challenge | undefined {
  const flags = isOfType(message, 2) ? uint32(message, 20) : undefined
  const targetName = field(message, 12)
  // Who offers no target information may leave out its field.
  const targetInfo = flags !== undefined && (flags & FLAG.targetInfo) !== 0 ? field(message, 40) : NO_BYTES
  if (flags === undefined || !targetName || !targetInfo || message.length < 32) return undefined
  return { flags, challenge: message.subarray(24, 32), targetName, targetInfo }
}

export function parseAuthenticate(message: Uint8Array): Authenticate | undefined {
  const flags = isOfType(message, 3) ? uint32(message, 60) : undefined
  const [lmResponse, ntResponse, domain, user, workstation, sessionKey] = [12, 20, 28, 36, 44, 52].map(at =>
    field(message, at),
  )
  if (flags === undefined) return undefined
  if (!lmResponse || !ntResponse || !domain || !user || !workstation || !sessionKey) return undefined
  return { flags, lmResponse, ntResponse, domain, user, workstation, sessionKey, whole: message }
}

export function formatNegotiate({ flags }: Negotiate): Uint8Array {
  return layOut(1, [uint32Bytes(flags), { field: NO_BYTES }, { field: NO_BYTES }])
}

export function formatChallenge({ flags, challenge, targetName, targetInfo }: Challenge): Uint8Array {
  const reserved = new Uint8Array(8)
  return layOut(2, [{ field: targetName }, uint32Bytes(flags), challenge, reserved, { field: targetInfo }, VERSION])
}

/** `mic` makes room for one, which is zero until it is known: it is made over the whole message. */
export function formatAuthenticate(message: Omit<Authenticate, 'whole'>, { mic }: { mic: boolean }): Uint8Array {
  const { flags, lmResponse, ntResponse, domain, user, workstation, sessionKey } = message
  const fields = [lmResponse, ntResponse, domain, user, workstation, sessionKey].map(field => ({ field }))
  return layOut(3, [...fields, uint32Bytes(flags), ...(mic ? [VERSION, new Uint8Array(MIC_LENGTH)] : [])])
}

/** Up to its end mark; `undefined` where it breaks off. */
export function parseAttributes(list: Uint8Array): readonly Attribute[] | undefined {
  const found: Attribute[] = []
  for (let at = 0; at + 4 <= list.length; ) {
    const id = uint16(list, at)
    const length = uint16(list, at + 2)
    if (id === ATTRIBUTE.end) return found
    if (at + 4 + length > list.length) return undefined
    found.push({ id, value: list.subarray(at + 4, at + 4 + length) })
    at += 4 + length
  }
  return undefined
}

export function formatAttributes(list: readonly Attribute[]): Uint8Array {
  const end: Attribute = { id: ATTRIBUTE.end, value: NO_BYTES }
  return concat([...list, end].flatMap(({ id, value }) => [uint16Bytes(id), uint16Bytes(value.length), value]))
}

/** Text as Windows has it: UTF-16LE. */
export function utf16(said: string): Uint8Array {
  const out = new Uint8Array(said.length * 2)
  for (let at = 0; at < said.length; at++) out.set(uint16Bytes(said.charCodeAt(at)), at * 2)
  return out
}

/** A name out of a message. Where it is no UTF-16, its letters are of a code page that nobody names: UTF-8 or Latin 1. */
export function nameText(name: Uint8Array, flags: number): string {
  if ((flags & FLAG.unicode) === 0) return strictUtf8(name) ?? text(name)
  let out = ''
  for (let at = 0; at + 1 < name.length; at += 2) out += String.fromCharCode(uint16(name, at))
  return out
}

export function nameBytes(name: string, flags: number): Uint8Array {
  return (flags & FLAG.unicode) === 0 ? utf8(name) : utf16(name)
}

export function uint32(message: Uint8Array, at: number): number | undefined {
  return at + 4 > message.length ? undefined : (uint16(message, at) | (uint16(message, at + 2) << 16)) >>> 0
}

export function uint32Bytes(value: number): Uint8Array {
  return Uint8Array.of(value, value >>> 8, value >>> 16, value >>> 24)
}

function uint16(message: Uint8Array, at: number): number {
  return (message[at] ?? 0) | ((message[at + 1] ?? 0) << 8)
}

function uint16Bytes(value: number): Uint8Array {
  return Uint8Array.of(value, value >>> 8)
}

function isOfType(message: Uint8Array, type: number): boolean {
  return equal(message.subarray(0, 8), SIGNATURE) && uint32(message, 8) === type
}

/** What the field points at; nothing at all where it is empty, wherever that points. */
function field(message: Uint8Array, at: number): Uint8Array | undefined {
  const offset = uint32(message, at + 4)
  if (offset === undefined) return undefined
  const length = uint16(message, at)
  if (length === 0) return NO_BYTES
  return offset + length > message.length ? undefined : message.subarray(offset, offset + length)
}

/** Signature and type, then the parts as they stand; of a field its pointer there, and what it points at behind them all. */
function layOut(type: number, parts: readonly (Uint8Array | { readonly field: Uint8Array })[]): Uint8Array {
  const head = [SIGNATURE, uint32Bytes(type)]
  const behind: Uint8Array[] = []
  let offset = 12
  for (const part of parts) offset += 'field' in part ? 8 : part.length
  for (const part of parts) {
    if ('field' in part) {
      const length = uint16Bytes(part.field.length)
      head.push(length, length, uint32Bytes(offset))
      behind.push(part.field)
      offset += part.field.length
    } else {
      head.push(part)
    }
  }
  return concat([...head, ...behind])
}
