/** A box of our own before a server, on loopback: for what must be shown on real sockets. */
import type { TestContext } from 'node:test'
import { Inspector } from '../../src/firewall/inspector.ts'
import type { Policy } from '../../src/firewall/policy.ts'
import type { ProxyPolicy } from '../../src/firewall/proxy.ts'
import { proxy } from '../../src/io/proxy.ts'
import { close, dial, type Endpoint, endpointOf, listen, type Socket } from '../../src/io/sockets.ts'
import { splice } from '../../src/io/splice.ts'

export interface Gate {
  readonly endpoint: Endpoint
  stop(): Promise<void>
}

export async function gate(server: Endpoint, policy: Policy | undefined): Promise<Gate> {
  const sockets = new Set<Socket>()
  const door = await listen({ host: server.host.includes(':') ? '::1' : '127.0.0.1', port: 0 }, socket => {
    socket.on('error', () => {})
    sockets.add(socket)
    void pass(socket, server, policy)
  })
  return {
    endpoint: endpointOf(door),
    stop: () => {
      for (const socket of sockets) socket.destroy()
      return close(door)
    },
  }
}

async function pass(socket: Socket, server: Endpoint, policy: Policy | undefined): Promise<void> {
  if (policy?.engine.kind === 'proxy') {
    const kept = { ...policy, engine: policy.engine } satisfies ProxyPolicy
    proxy(
      socket,
      { policy: kept, host: 'gate.example', client: { address: '127.0.0.1' } },
      { dial: () => dial(server) },
    )
    return
  }
  try {
    splice(socket, await dial(server), policy && new Inspector(policy), () => {})
  } catch {
    socket.destroy()
  }
}

export async function gateFor(t: TestContext, server: Endpoint, policy: Policy | undefined): Promise<Endpoint> {
  const { endpoint, stop } = await gate(server, policy)
  t.after(stop)
  return endpoint
}
