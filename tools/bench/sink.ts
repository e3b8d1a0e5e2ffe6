/** Where mail ends in a bench: Postfix's smtp-sink, which counts. */
import { peer } from '../peers.ts'
import { type Program, start, untilListening } from './process.ts'

export async function startSink(port: number): Promise<Program> {
  const { command, env } = peer('smtp-sink')
  const asNobody = process.getuid?.() === 0 ? ['-u', 'nobody'] : []
  const sink = start({ name: 'smtp-sink', command, env, args: [...asNobody, '-c', `127.0.0.1:${port}`, '256'] })
  await untilListening(sink, port)
  return sink
}

/** The sink's own count; it writes `sess=N quit=N mesg=N` anew after each message, in one piece, with CR for an end. */
export function arrived(sink: Program): number {
  return Number(/.*mesg=(\d+)(?:\r|$)/s.exec(sink.said())?.[1] ?? 0)
}
