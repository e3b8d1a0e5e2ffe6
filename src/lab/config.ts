import type { SourceRef } from '../base/problem.ts'
import type { Mailbox } from '../smtp/address.ts'
import type { NodeKind, Route } from '../topology/topology.ts'

/** A laboratory as its text describes it. Every address is the topology's; loopback ports are the lab's own affair. */
export interface LabConfig {
  readonly name: string
  readonly nodes: readonly LabNode[]
  readonly attachments: readonly LabAttachment[]
  readonly routes: readonly { readonly node: string; readonly route: Route; readonly at: SourceRef }[]
  readonly tunnels: readonly LabTunnel[]
  readonly entries: readonly Entry[]
  readonly mails: readonly MailFolder[]
}

export interface LabNode {
  readonly name: string
  readonly kind: NodeKind
  readonly site: string
  readonly config?: string
  readonly at: SourceRef
}

/** A node on a segment: with an address, or by an interface whose address its own configuration tells. */
export interface LabAttachment {
  readonly node: string
  readonly segment: string
  readonly by: { readonly ip: string; readonly mask: string } | { readonly port: string }
  readonly at: SourceRef
}

export interface LabTunnel {
  readonly ends: readonly [string, string]
  readonly keyFile: string
  readonly at: SourceRef
}

/** A place where programs of this machine may come in, as if they were a host of the topology. */
export interface Entry {
  /** Upper case: the environment variable is `POSTERN_` and this. */
  readonly name: string
  readonly node: string
  readonly port?: string
  readonly source: string
  readonly destination: string
  readonly destinationPort: number
  readonly at: SourceRef
}

/** Messages that the story sends in by an entry. */
export interface MailFolder {
  readonly entry: string
  readonly from: Mailbox
  readonly to: Mailbox
  readonly folder: string
  readonly at: SourceRef
}

export const EMPTY_LAB: LabConfig = {
  name: 'lab',
  nodes: [],
  attachments: [],
  routes: [],
  tunnels: [],
  entries: [],
  mails: [],
}
