import { readFileSync } from 'node:fs'

/** Who has something that one process at a time may have: its number, and when that process began. */
export function owner(): string {
  return JSON.stringify({ pid: process.pid, began: began(process.pid) })
}

/** Does that very process live? A number that was given to another one since does not count, where that can be told. */
export function ownerLives(text: string): boolean {
  const { pid, began: then } = read(text)
  if (pid === undefined || !isAlive(pid)) return false
  // Our own number: it was us, in another life, or it is this very process that has it open already.
  const now = began(pid)
  return then === undefined || now === undefined || then === now
}

export function sayOwner(text: string): string {
  return `process ${read(text).pid ?? '?'}`
}

function read(text: string): { readonly pid?: number; readonly began?: string } {
  try {
    const { pid, began: then } = JSON.parse(text) as Readonly<Record<string, unknown>>
    return { ...(typeof pid === 'number' && { pid }), ...(typeof then === 'string' && { began: then }) }
  } catch {
    return {}
  }
}

/** Linux tells by the boot and the ticks since; elsewhere nothing is known. */
function began(pid: number): string | undefined {
  try {
    const boot = readFileSync('/proc/sys/kernel/random/boot_id', 'latin1').trim()
    const ticks = stat(pid)[19]
    return ticks === undefined ? undefined : `${boot}/${ticks}`
  } catch {
    return undefined
  }
}

/** What Linux says of a process, from its state on. */
function stat(pid: number): readonly string[] {
  const text = readFileSync(`/proc/${pid}/stat`, 'latin1')
  // The name of the command may hold anything, even a bracket; the fields after it are numbers.
  return text.slice(text.lastIndexOf(')') + 2).split(' ')
}

/** It ended, and nobody has asked how yet: in a container the first process may never ask. */
function isZombie(pid: number): boolean {
  try {
    return stat(pid)[0] === 'Z'
  } catch {
    return false
  }
}

export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0)
    return !isZombie(pid)
  } catch (cause) {
    return (cause as NodeJS.ErrnoException).code === 'EPERM'
  }
}
