import { appendFileSync } from 'node:fs'
import type { Command } from 'commander'
import { Listener } from '../app/listen.ts'
import { parseEndpoint } from '../app/vantages.ts'
import { timestamp } from '../io/clock.ts'
import { sayEndpoint } from '../io/sockets.ts'
import { misuse } from './diagnose.ts'
import { EXIT, log, print } from './print.ts'
import { until } from './signals.ts'

/** `postern listen`: the far side of a two-ended diagnosis. */
export function listenCommand(program: Command): void {
  program
    .command('listen')
    .description('be the far side of postern diagnose --far: take everything, keep what arrives, and tell it')
    .argument('[at]', 'where to listen: 2525, 192.0.2.1:25, [::1]:2525', '127.0.0.1:2525')
    .option('--record <file>', 'append what arrived and what was answered, a JSON line for each connection')
    .action(async (at: string, { record: file }: { readonly record?: string }) => {
      const interrupted = until('SIGINT', 'SIGTERM', 'SIGHUP')
      const listener = await Listener.open(parseEndpoint(/^\d+$/.test(at) ? `127.0.0.1:${at}` : at), (record, peer) => {
        log(`${timestamp()} ${peer}: ${record.steps.length - 1} commands`)
        if (file === undefined) return
        try {
          appendFileSync(file, `${JSON.stringify({ schema: 1, date: timestamp(), peer, ...record })}\n`, {
            mode: 0o600,
          })
        } catch (cause) {
          throw misuse(`cannot write ${file}: ${(cause as Error).message}`)
        }
      })
      print(`listening at ${sayEndpoint(listener.endpoint)}; on the other side: postern diagnose THIS-HOST:PORT --far`)
      await interrupted
      await listener.stop()
      process.exitCode = EXIT.ok
    })
}
