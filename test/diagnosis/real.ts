/** Boxes before real servers of other people, on loopback. */
import { connector, visit } from '../../src/app/prober.ts'
import type { Box } from '../../src/diagnosis/box.ts'
import { type Diagnosis, diagnose } from '../../src/diagnosis/diagnosis.ts'
import { freePorts, stopAll } from '../../tools/bench/process.ts'
import type { Needs } from '../interop/needs.ts'
import { startExim } from '../interop/peers/exim.ts'
import { startHaraka } from '../interop/peers/haraka.ts'
import type { Ports } from '../interop/peers/mail-system.ts'
import { startPostfix } from '../interop/peers/postfix.ts'
import { startSmtpServer } from '../interop/peers/smtp-server.ts'
import { startSmtpSink } from '../interop/peers/smtp-sink.ts'
import { startPostern } from '../interop/postern.ts'
import { gate } from './gate.ts'

export interface Real {
  readonly needs: Needs
  readonly start: (ports: Ports) => Promise<{ stop(): Promise<void> }>
}

export const REAL: Readonly<Record<string, Real>> = {
  postfix: { needs: { peers: ['postfix'], root: true }, start: startPostfix },
  exim: { needs: { peers: ['exim'], root: true }, start: startExim },
  'smtp-server': { needs: {}, start: startSmtpServer },
  postern: { needs: {}, start: ({ port }) => startPostern(port) },
}

/** What is no box, and must be called what it is. */
export const ODD: Readonly<Record<string, Real>> = {
  'smtp-sink -P': { needs: { peers: ['smtp-sink'] }, start: ports => startSmtpSink(ports, ['-P']) },
  'smtp-sink -e': { needs: { peers: ['smtp-sink'] }, start: ports => startSmtpSink(ports, ['-e']) },
  haraka: { needs: { peers: ['haraka'] }, start: startHaraka },
}

export async function withServer<T>(real: Real, use: (port: number) => Promise<T>): Promise<T> {
  const [port = 0, postern = 0] = await freePorts(2)
  const server = await real.start({ port, postern })
  try {
    return await use(port)
  } finally {
    await server.stop()
    await stopAll()
  }
}

/** One visit through a box, or through none. */
export async function visited(port: number, box: Box | undefined): Promise<Diagnosis> {
  const { endpoint, stop } = await gate({ host: '127.0.0.1', port }, box?.policy)
  try {
    const observation = await visit({
      vantage: 'here',
      target: `127.0.0.1:${port}`,
      hello: 'client.example',
      patience: 5_000,
      connect: connector(endpoint),
    })
    return diagnose(observation)
  } finally {
    await stop()
  }
}
