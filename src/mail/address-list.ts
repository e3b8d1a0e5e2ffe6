/** The addresses in a header field that lists them: To, Cc, Bcc (RFC 5322 §3.4). */
import { type Mailbox, parseMailbox } from '../smtp/address.ts'

/** Addresses that one list is read for. */
export const MAX_LISTED = 10_000

/**
 * Every address of the list: `a@b.example`, `Name <a@b.example>`, `"A, B" <a@b.example>`, `Team: a@b.example, c@d.example;`,
 * with comments anywhere. Total: what is no address is given back as `wrong`, in the words it stood in.
 */
export function addressesIn(list: string): { readonly found: readonly Mailbox[]; readonly wrong: readonly string[] } {
  const found: Mailbox[] = []
  const wrong: string[] = []
  for (const part of parts(list)) {
    // Of a name and an address in angle brackets the address is meant; a source route before it is not.
    const angle = /<([^<>]*)>\s*$/.exec(part)
    const bare = (angle?.[1] ?? part).trim().replace(/^@[^:]*:/, '')
    if (bare === '') continue
    const read = parseMailbox(bare)
    if ('wrong' in read || found.length >= MAX_LISTED) wrong.push(part.trim())
    else found.push(read)
  }
  return { found, wrong }
}

/** The list cut at its commas, the names of groups and comments taken out, quoted strings as they stand. */
function parts(list: string): readonly string[] {
  const out: string[] = []
  let part = ''
  let depth = 0
  let isQuoted = false
  let inAngle = false
  for (let i = 0; i < list.length; i++) {
    const c = list[i] ?? ''
    if ((isQuoted || depth > 0) && c === '\\') {
      if (isQuoted) part += c + (list[i + 1] ?? '')
      i++
    } else if (isQuoted) {
      part += c
      isQuoted = c !== '"'
    } else if (c === '(') depth++
    else if (depth > 0) depth -= c === ')' ? 1 : 0
    else if (c === '"') {
      part += c
      isQuoted = true
    } else if (c === ',' || c === ';') {
      out.push(part)
      part = ''
      inAngle = false
    } else if (c === ':' && !inAngle && !part.includes('@')) part = ''
    else {
      if (c === '<') inAngle = true
      if (c === '>') inAngle = false
      part += c === '\r' || c === '\n' ? ' ' : c
    }
  }
  out.push(part)
  return out
}
