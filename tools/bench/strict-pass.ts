/**
 * The proxy under `strict`, and nothing of the firewall around it, as a subject for benches.
 *
 *   strict-pass.ts LISTENPORT TARGETPORT
 */
import { strict } from '../../src/firewall/profiles/strict.ts'
import { proxy } from '../../src/io/proxy.ts'
import { dial, listen } from '../../src/io/sockets.ts'

const [port, target] = process.argv.slice(2).map(Number)
if (!port || !target) {
  console.error('usage: strict-pass.ts LISTENPORT TARGETPORT')
  process.exit(2)
}

const policy = strict({
  at: { file: 'bench', line: 1, column: 1, length: 1, text: 'strict' },
  command: 'strict',
  cure: 'no strict',
})

await listen({ host: '127.0.0.1', port }, client => {
  client.on('error', () => {})
  proxy(
    client,
    { policy, host: 'fw.example', client: { address: client.remoteAddress ?? '' } },
    { dial: () => dial({ host: '127.0.0.1', port: target }) },
  )
})
