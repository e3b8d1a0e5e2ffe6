import { spawnSync } from 'node:child_process'
import { type PeerName, peer } from '../../tools/peers.ts'

export interface Needs {
  /** Rights that only root has: the daemon runs in a root directory of its own, as its own users. */
  readonly root?: boolean
  /** Programs of the machine. */
  readonly commands?: readonly string[]
  /** Programs that are fetched where they are not here yet. */
  readonly peers?: readonly PeerName[]
}

/** Why a suite cannot run here, or `false`. */
export function unmet({ root = false, commands = [], peers = [] }: Needs): string | false {
  if (root && process.getuid?.() !== 0) return 'needs root: the daemon runs in a root directory of its own (chroot)'
  const missing = commands.filter(command => spawnSync('sh', ['-c', `command -v ${command}`]).status !== 0)
  if (missing.length > 0) return `not installed: ${missing.join(', ')}`
  try {
    for (const name of peers) peer(name)
    return false
  } catch (cause) {
    return cause instanceof Error ? cause.message : String(cause)
  }
}
