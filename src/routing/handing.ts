import { type Connector, type Member, PLAIN } from './connector.ts'

/**
 * Mail that goes by a connector, handed straight to a server further along the way: it goes as the connector says, with its
 * TLS and its login, and the certificate must be that server's own. Only servers whose address the configuration knows are
 * meant: what a neighbour tells of addresses is not dialled, or it could have mail and password sent to wherever it likes.
 */
export function directly(connector: Connector, servers: readonly Member[]): readonly Connector[] {
  const { pull: _ours, dns: _names, tls, ...way } = connector
  // One certificate is pinned, and it is another server's.
  if (tls?.floor === 'pinned') return []
  return servers.flatMap(({ server, address }) =>
    address
      ? {
          ...way,
          ...(tls && { tls: { ...tls, name: server } }),
          name: `${connector.name} directly to ${server}`,
          // No neighbour: routing state is not told there.
          groups: [],
          targets: [address],
        }
      : [],
  )
}

/** To another server of our own group. */
export function toMember({ server, address, at }: Member): Connector | undefined {
  if (!address) return undefined
  const name = `member ${server}`
  return { ...PLAIN, kind: 'routing-group', name, groups: [], cost: 1, targets: [address], isHeld: false, at }
}
