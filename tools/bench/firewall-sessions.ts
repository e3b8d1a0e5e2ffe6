/** Sessions of the bench's own, where what smtp-source does is not enough: timed ones, and idle ones. */
import { connect, type Socket } from 'node:net'
import { setTimeout as wait } from 'node:timers/promises'

/** A session that does not come on within this time has failed. */
const PATIENCE = 30_000

/** Says a line after each reply, and gives back the socket once the last of the replies is there. */
function converse(port: number, lines: readonly string[]): Promise<Socket> {
  return new Promise((resolve, reject) => {
    const socket = connect({ host: '127.0.0.1', port, noDelay: true })
    const fail = (cause: Error) => {
      socket.destroy()
      reject(cause)
    }
    let held = ''
    let said = 0
    socket.setTimeout(PATIENCE, () => fail(new Error(`a session at port ${port} did not come on`)))
    socket.on('error', fail)
    socket.on('close', () => fail(new Error(`a session at port ${port} was cut`)))
    socket.on('data', chunk => {
      held += chunk.toString('latin1')
      // The last line of a reply has a blank behind its code (RFC 5321 §4.2).
      if (!/(?:^|\n)\d{3} [^\n]*\n$/.test(held)) return
      if (!/^2/.test(held)) return fail(new Error(`a session at port ${port} was told: ${held.trim()}`))
      held = ''
      const line = lines[said++]
      if (line !== undefined) return void socket.write(`${line}\r\n`)
      socket.removeAllListeners()
      socket.setTimeout(0)
      socket.on('error', () => {})
      resolve(socket)
    })
  })
}

/** How long a session takes from the call to the last reply, in ms: greeting, HELO, QUIT. */
async function timed(port: number): Promise<number> {
  const began = performance.now()
  const socket = await converse(port, ['HELO source.example', 'QUIT'])
  const took = performance.now() - began
  socket.destroy()
  return took
}

/**
 * What sessions take in ms, `perSecond` of them begun a second, whether the one before is over or not. For each through the
 * subject one goes straight to its sink, so that what is added can be told from what is there anyway.
 */
export async function timedSessions(
  { through, direct }: { readonly through: number; readonly direct: number },
  { count, perSecond }: { readonly count: number; readonly perSecond: number },
): Promise<{ readonly through: readonly number[]; readonly direct: readonly number[] }> {
  const under: { through: Promise<number>[]; direct: Promise<number>[] } = { through: [], direct: [] }
  const began = performance.now()
  for (let n = 0; n < count; n++) {
    await wait(Math.max(0, began + (n * 1000) / perSecond - performance.now()))
    under.through.push(timed(through))
    // Half a turn later, or each would wait for the other.
    await wait(500 / perSecond)
    under.direct.push(timed(direct))
  }
  return { through: await Promise.all(under.through), direct: await Promise.all(under.direct) }
}

/** Sessions that have said HELO, and nothing more. */
export async function idleSessions(port: number, count: number): Promise<readonly Socket[]> {
  const sockets: Socket[] = []
  let pending = 0
  const some = Array.from({ length: 20 }, async () => {
    // Each of the twenty opens one after the other.
    while (sockets.length + pending < count) {
      pending++
      sockets.push(await converse(port, ['HELO source.example']))
      pending--
    }
  })
  await Promise.all(some)
  return sockets
}

/** The value below which this part of them lies. */
export function quantile(values: readonly number[], part: number): number {
  const sorted = values.toSorted((a, b) => a - b)
  const found = sorted[Math.min(sorted.length - 1, Math.ceil(part * sorted.length) - 1)]
  if (found === undefined) throw new RangeError('no quantile of no values')
  return found
}
