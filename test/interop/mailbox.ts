/** A Maildir that somebody else delivers into, looked through for a letter. */
import { closeSync, existsSync, openSync, readdirSync, readFileSync, readSync } from 'node:fs'
import { join } from 'node:path'
import { setTimeout as sleep } from 'node:timers/promises'

/** Milliseconds that something may take that takes a few when all is well. */
export const PATIENCE = 30_000
/** Octets in which a subject is to be found. */
const HEADER = 16_384

/** The message with this token in its header, once it is there; throws with `said` when it does not come. */
export async function arrival(folder: string, token: string, said: () => string): Promise<Buffer> {
  const end = performance.now() + PATIENCE
  for (;;) {
    const found = files(folder).find(file => head(file).includes(token))
    if (found) return readFileSync(found)
    if (performance.now() > end) throw new Error(`${token} did not arrive in ${folder} in time:\n${said()}`)
    await sleep(20)
  }
}

function files(folder: string): readonly string[] {
  if (!existsSync(folder)) return []
  return readdirSync(folder).map(name => join(folder, name))
}

function head(file: string): string {
  const descriptor = openSync(file, 'r')
  try {
    const octets = Buffer.alloc(HEADER)
    return octets.toString('latin1', 0, readSync(descriptor, octets, 0, HEADER, 0))
  } finally {
    closeSync(descriptor)
  }
}
