/**
 * The plainest TCP pass-through Node can do, as a subject for benches: what it costs to be in the way at all.
 *
 *   node-pass.ts LISTENPORT TARGETPORT
 */
import { connect, createServer } from 'node:net'

const [listen, target] = process.argv.slice(2).map(Number)
if (!listen || !target) {
  console.error('usage: node-pass.ts LISTENPORT TARGETPORT')
  process.exit(2)
}

createServer({ allowHalfOpen: true, noDelay: true }, near => {
  const far = connect({ host: '127.0.0.1', port: target, allowHalfOpen: true, noDelay: true })
  near.on('error', () => far.destroy())
  far.on('error', () => near.destroy())
  near.pipe(far)
  far.pipe(near)
}).listen(listen, '127.0.0.1')
