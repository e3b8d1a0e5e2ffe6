import { PosternError } from '../base/problem.ts'
import { askControl, type ControlAnswer } from '../io/control.ts'
import { runningStates, type State } from '../io/state.ts'
import { complain } from './print.ts'

/** A firewall that runs, by itself or in a laboratory, and takes typed lines. */
export interface Running {
  readonly folder: string
  readonly node: string
}

interface Found {
  readonly state: State
  readonly nodes: readonly string[]
}

/** Everything of this user that runs, newest first; within `lab exec` only that laboratory. */
async function everything(): Promise<readonly Found[]> {
  const own = process.env.POSTERN_LAB
  const states: readonly State[] = own === undefined ? runningStates() : [{ folder: own, name: '', pid: 0 }]
  const asked = states.map(async state => {
    // One that is being taken down answers nothing, and is not meant.
    const nodes = await askControl(state.folder, { ask: 'nodes' }).then(
      ({ answer }) => answer,
      () => [],
    )
    return { state, nodes }
  })
  return (await Promise.all(asked)).filter(({ nodes }) => nodes.length > 0)
}

/** The newest that has this name; without a name the only one there is. */
export async function findRunning(node: string | undefined, nothing: string): Promise<Running> {
  const all = await everything()
  if (all.length === 0) throw misuse(nothing)
  const known = [...new Set(all.flatMap(({ nodes }) => nodes))].join(', ')
  if (node === undefined) {
    const names = all.flatMap(({ state, nodes }) => nodes.map(name => ({ folder: state.folder, node: name })))
    const [only, another] = names
    if (only && !another) return only
    throw misuse(`several firewalls are running: say which (known: ${known})`)
  }
  const [found, ...others] = all.filter(({ nodes }) => nodes.includes(node))
  if (!found) throw misuse(`no firewall is called "${node}" here (known: ${known})`)
  if (others.length > 0) {
    complain(`${others.length + 1} that run have a "${node}"; this is the newest, process ${found.state.pid}`)
  }
  return { folder: found.state.folder, node }
}

/** Types a line there. */
export function typeThere({ folder, node }: Running, line: string): Promise<ControlAnswer> {
  return askControl(folder, { ask: 'type', node, line })
}

function misuse(message: string): PosternError {
  return new PosternError('POSTERN_MISUSE', message, { side: 'us', retry: 'never' })
}
