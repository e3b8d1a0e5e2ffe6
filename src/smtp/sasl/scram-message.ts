import { fromBase64, strictUtf8 } from '../../base/bytes.ts'

/** The messages of SCRAM (RFC 5802 §7), taken apart. Each keeps the text of which the proof is made. */

/** Nobody's nonce is longer; ours has 24 characters. */
export const NONCE_LIMIT = 512

/** What RFC 7677 §4 calls the least, and as much as we let a peer have us compute: a second or so. */
export const ITERATIONS: { readonly least: number; readonly most: number } = { least: 4096, most: 1_000_000 }

export const BINDING = 'tls-exporter'

export interface ClientFirst {
  /** What the client says of channel binding: none; it could, and believes that the server cannot; this one. */
  readonly flag: 'n' | 'y' | { readonly binding: string }
  readonly authzid?: string
  readonly user: string
  readonly nonce: string
  /** The GS2 header, and the rest, as they came. */
  readonly header: string
  readonly bare: string
}

export interface ServerFirst {
  /** Both nonces, the client's in front. */
  readonly nonce: string
  readonly salt: Uint8Array
  readonly iterations: number
  readonly whole: string
}

export interface ClientFinal {
  /** The GS2 header and, behind a `p=`, the octets of the binding. */
  readonly binding: Uint8Array
  readonly nonce: string
  readonly proof: Uint8Array
  readonly withoutProof: string
}

interface Wrong {
  readonly wrong: string
}

/** `n,a=authzid,n=user,r=nonce` */
export function parseClientFirst(bytes: Uint8Array): ClientFirst | Wrong {
  const text = strictUtf8(bytes)
  if (text === undefined || text.includes('\0')) return { wrong: 'not UTF-8 without NUL' }
  const [flag = '', authzid = '', ...rest] = text.split(',')
  const bare = rest.join(',')
  const header = `${flag},${authzid},`
  if (rest.length < 2) return { wrong: 'not a client-first-message' }
  const said = flag === 'n' || flag === 'y' ? flag : flag.startsWith('p=') ? { binding: flag.slice(2) } : undefined
  if (said === undefined || (typeof said === 'object' && !/^[A-Za-z0-9.-]{1,64}$/.test(said.binding)))
    return { wrong: 'no channel binding flag of n, y or p= in front' }
  // `m=` announces an extension that must be understood, and there is none.
  if (rest[0]?.startsWith('m=')) return { wrong: 'no extension is known' }
  const user = nameAfter('n=', rest[0])
  const nonce = nonceAfter(rest[1])
  if (!user || nonce === undefined) return { wrong: 'a client-first-message has n= and r=' }
  const actingFor = authzid === '' ? undefined : nameAfter('a=', authzid)
  if (authzid !== '' && !actingFor) return { wrong: 'an authzid has a= in front' }
  return { flag: said, user, nonce, header, bare, ...(actingFor === undefined ? {} : { authzid: actingFor }) }
}

/** `r=nonces,s=salt,i=iterations` */
export function parseServerFirst(bytes: Uint8Array): ServerFirst | Wrong {
  const whole = strictUtf8(bytes)
  const [first, salted, counted] = whole?.split(',') ?? []
  const nonce = nonceAfter(first)
  const salt = salted?.startsWith('s=') ? fromBase64(salted.slice(2)) : undefined
  const iterations = /^i=([1-9]\d{0,8})$/.exec(counted ?? '')?.[1]
  if (whole === undefined || nonce === undefined || !salt || salt.length === 0 || iterations === undefined)
    return { wrong: 'not a server-first-message' }
  return { nonce, salt, iterations: Number(iterations), whole }
}

/** `c=binding,r=nonces,p=proof` */
export function parseClientFinal(bytes: Uint8Array): ClientFinal | Wrong {
  const text = strictUtf8(bytes)
  const parts = text?.split(',') ?? []
  const proof = base64After('p=', parts.at(-1))
  const binding = base64After('c=', parts[0])
  const nonce = nonceAfter(parts[1])
  if (!proof || !binding || nonce === undefined || parts.length < 3) return { wrong: 'not a client-final-message' }
  if (proof.length !== 32) return { wrong: 'a proof of SCRAM-SHA-256 has 32 octets' }
  return { binding, nonce, proof, withoutProof: parts.slice(0, -1).join(',') }
}

/** `v=signature`, or `e=` and why not. */
export function parseServerFinal(bytes: Uint8Array): { readonly signature: Uint8Array } | Wrong {
  const [first = ''] = strictUtf8(bytes)?.split(',') ?? []
  const signature = base64After('v=', first)
  if (signature) return { signature }
  const error = /^e=([a-z-]{1,64})$/.exec(first)?.[1]
  return { wrong: error === undefined ? 'not a server-final-message' : `the server says ${error}` }
}

/** A name as it stands in a message: `,` and `=` are said otherwise. RFC 5802 §5.1. */
export function escapeName(name: string): string {
  return name.replaceAll('=', '=3D').replaceAll(',', '=2C')
}

function nameAfter(prefix: string, part: string | undefined): string | undefined {
  if (!part?.startsWith(prefix)) return undefined
  const pieces = part.slice(2).split('=')
  // Behind each `=` stands what it stood for; any other `=` is a mistake that must be refused.
  const rest = pieces.slice(1).map(piece => {
    const said = { '2C': ',', '3D': '=' }[piece.slice(0, 2)]
    return said === undefined ? undefined : said + piece.slice(2)
  })
  return rest.includes(undefined) ? undefined : [pieces[0], ...rest].join('')
}

function nonceAfter(part: string | undefined): string | undefined {
  const nonce = part?.startsWith('r=') ? part.slice(2) : undefined
  return nonce !== undefined && nonce.length <= NONCE_LIMIT && /^[\x21-\x2b\x2d-\x7e]+$/.test(nonce) ? nonce : undefined
}

function base64After(prefix: string, part: string | undefined): Uint8Array | undefined {
  return part?.startsWith(prefix) ? fromBase64(part.slice(2)) : undefined
}
