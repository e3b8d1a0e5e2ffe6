import { PosternError } from '../base/problem.ts'
import { sayDuration } from '../base/time.ts'
import type { FirewallConfig } from '../firewall/config.ts'
import { type ConsoleView, type Typed, type } from '../firewall/console.ts'
import { now } from '../io/clock.ts'
import { ConfigurationError } from '../io/files.ts'
import { dial, type Endpoint } from '../io/sockets.ts'
import type { Connection, Door, Gateway } from './gateway.ts'

/** `show conn`, in the PIX's form, with what inspects each. */
export function showConnections(gateway: Gateway): readonly string[] {
  const head = `${gateway.connections.length} in use, ${gateway.most} most used`
  return [head, ...gateway.connections.map(showConnection)]
}

function showConnection(connection: Connection): string {
  const { crossing, source, sourcePort, destination, destinationPort, passage, since, inspected } = connection
  const lower = crossing.direction === 'inbound'
  const caller = `${source}:${sourcePort}`
  const called = `${destination}:${destinationPort}`
  const [out, inside] = lower ? [caller, called] : [called, caller]
  const octets = passage.fromClient + passage.fromServer
  const how = inspected ? `inspected by ${inspected.command}` : 'not inspected'
  return `TCP out ${out} in ${inside} for ${sayDuration(now() - since)} bytes ${octets} ${how}`
}

/** A line typed at a running firewall; a change is in force when the answer is there. */
export async function typeAt(gateway: Gateway, line: string): Promise<Typed> {
  const view: ConsoleView = {
    connections: () => showConnections(gateway),
    altered: () => gateway.altered,
  }
  const typed = type(gateway.config, line, view)
  if (typed.config) await gateway.configure(typed.config)
  return typed
}

/** The doors that the text itself describes: every `static … tcp` says where to listen, and where it leads. */
export async function openDoors(gateway: Gateway, config: FirewallConfig): Promise<readonly Endpoint[]> {
  const opened: Endpoint[] = []
  for (const { mapped, mappedIp, redirect, at } of config.statics) {
    if (!redirect) continue
    const door: Door = {
      port: mapped,
      destination: mappedIp,
      destinationPort: redirect.mappedPort,
      listen: { host: mappedIp, port: redirect.mappedPort },
      dial: to => dial({ host: to.destination, port: to.port }),
    }
    opened.push(
      await gateway.open(door).catch(cause => {
        if (!(cause instanceof PosternError)) throw cause
        // It is this line that asks for the port.
        throw new ConfigurationError([{ severity: 'error', message: cause.message, at }])
      }),
    )
  }
  return opened
}
