/** What was said in a login, so that it is told to nobody when a server repeats it: some quote what they do not understand. */
import { fromBase64, text, toBase64 } from '../base/bytes.ts'
import type { Reply } from './reply.ts'

/** Steps of a login that are remembered; no mechanism has as many. */
const MOST_STEPS = 8
/** Words of fewer characters are in everything. */
const LEAST_PLAIN = 3
/** A part of an encoded response, as of one that was cut off. */
const LEAST_PART = 8
const HIDDEN = '[secret]'

export class LoginSecrets {
  /** As they were said, in base64. */
  #said: string[] = []

  add(response: Uint8Array): void {
    if (response.length > 0) this.#said = [...this.#said, toBase64(response)].slice(-MOST_STEPS)
  }

  /** The reply without them; a challenge, which is to be read exactly, stays what it is. */
  without(reply: Reply): Reply {
    if (this.#said.length === 0 || reply.code < 400) return reply
    return { ...reply, text: reply.text.map(line => this.withoutIn(line)) }
  }

  withoutIn(line: string): string {
    let left = line
    for (const said of this.#said) {
      const plain = text(fromBase64(said) ?? new Uint8Array()).split('\0')
      for (const part of [said, ...plain.filter(each => each.length >= LEAST_PLAIN)]) left = hidden(left, part)
    }
    const said = this.#said.map(each => each.toLowerCase())
    return left.replace(WORD, word => (said.some(each => each.includes(word.toLowerCase())) ? HIDDEN : word))
  }
}

const WORD = new RegExp(`[A-Za-z0-9+/=]{${LEAST_PART},}`, 'g')

/** In whatever case: some servers say back what they heard in capitals. */
function hidden(line: string, part: string): string {
  const [there, wanted] = [line.toLowerCase(), part.toLowerCase()]
  // Letters whose other case has another length would shift what is looked for.
  if (there.length !== line.length) return line.replaceAll(part, HIDDEN)
  let out = ''
  let from = 0
  for (let at = there.indexOf(wanted); at >= 0; at = there.indexOf(wanted, from)) {
    out += `${line.slice(from, at)}${HIDDEN}`
    from = at + wanted.length
  }
  return out + line.slice(from)
}
