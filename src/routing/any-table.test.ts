/** Random routing groups and tables. The name keeps it out of the published package. */

import { createHash } from 'node:crypto'
import fc from 'fast-check'
import {
  type Bridgehead,
  type ConnectorState,
  type GroupState,
  type Guid,
  type Hash,
  type LinkStateTable,
  NO_SIZE,
  tableOf,
} from './link-state.ts'

export const md5: Hash = octets => createHash('md5').update(octets).digest()
export const sha256: Hash = octets => createHash('sha256').update(octets).digest()

/** `guid('a', 1)`: a000…0001. */
export function guid(letter: string, number: number): Guid {
  return letter + number.toString(16).padStart(31, '0')
}

const NO_NAMES = [[], [], [], []] as const

export function connectorState(connector: Guid, to: Guid | string, more: Partial<ConnectorState> = {}): ConnectorState {
  const arrow = /^[0-9a-f]{32}$/.test(to) ? { type: 'RG', value: to, cost: 1 } : { type: 'SMTP', value: to, cost: 1 }
  return {
    connector,
    type: arrow.type,
    source: '',
    destination: '',
    dn: `/o=Contoso/cn=Connections/cn=${connector.slice(0, 1)}${connector.slice(-2)}`,
    flags: [0, 0, 0, 0],
    sizeLimit: NO_SIZE,
    oversize: NO_SIZE,
    options: [0, 1],
    restrictions: NO_NAMES,
    arrows: [arrow],
    bridgeheads: [],
    targets: [],
    state: 'up',
    ...more,
  }
}

export function groupState(group: Guid, more: Partial<GroupState> = {}): GroupState {
  return {
    group,
    master: group,
    version: { major: 1, minor: 0, user: 0 },
    incarnation: guid('e', 1),
    smtp: '',
    x400: '',
    x500: '',
    members: [],
    connectors: [],
    ...more,
  }
}

const anyText = fc.string({ unit: fc.constantFrom(...'ab (){}*=/.;é'), maxLength: 8 })
const anyCount = fc.oneof(fc.nat(3), fc.nat(0xffff_ffff))
const anyGuid = fc.tuple(fc.constantFrom('a', 'b', 'c'), fc.nat(3)).map(([letter, n]) => guid(letter, n))
const anyBridgehead: fc.Arbitrary<Bridgehead> = fc.record({ server: anyGuid, available: fc.boolean(), fqdn: anyText })
const anyNames = fc.array(anyText, { maxLength: 2 })
const anyConnector: fc.Arbitrary<ConnectorState> = fc.record({
  connector: anyGuid,
  type: fc.constantFrom('SMTP', 'RG', 'X400'),
  source: anyText,
  destination: anyText,
  dn: anyText,
  flags: fc.tuple(anyCount, anyCount, anyCount, anyCount),
  sizeLimit: anyCount,
  oversize: anyCount,
  options: fc.tuple(anyCount, anyCount),
  restrictions: fc.tuple(anyNames, anyNames, anyNames, anyNames),
  arrows: fc.array(fc.record({ type: anyText, value: anyText, cost: anyCount }), { maxLength: 2 }),
  bridgeheads: fc.array(anyBridgehead, { maxLength: 2 }),
  targets: fc.array(anyBridgehead, { maxLength: 2 }),
  state: fc.constantFrom('up', 'down'),
})

export const anyGroup: fc.Arbitrary<GroupState> = fc
  .record({
    group: anyGuid,
    master: anyGuid,
    version: fc.record({ major: fc.nat(2), minor: fc.nat(1), user: anyCount }),
    incarnation: anyGuid,
    smtp: anyText,
    x400: anyText,
    x500: anyText,
    members: fc.array(
      fc.record({ server: anyGuid, attached: fc.boolean(), flag: anyCount, build: anyCount, mark: anyText }),
      { maxLength: 2 },
    ),
    connectors: fc.uniqueArray(anyConnector, { maxLength: 2, selector: ({ connector }) => connector }),
  })
  // Records of fast-check have no prototype, and strict equality would mind.
  .map(state => structuredClone(state))

export const anyTable: fc.Arbitrary<LinkStateTable> = fc.array(anyGroup, { maxLength: 6 }).map(tableOf)
