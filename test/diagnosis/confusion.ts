/** The confusion table: true box × named box, one-ended. */
import { BOXES, type Box } from '../../src/diagnosis/box.ts'
import { type Diagnosis, diagnose } from '../../src/diagnosis/diagnosis.ts'
import { SERVERS } from './servers.ts'
import { probed } from './through.ts'

export interface Row {
  readonly server: string
  readonly box: Box
  readonly diagnosis: Diagnosis
  /** `first`: named, and nobody else. `among`: named with others whom the same evidence fits. */
  readonly named: 'first' | 'among' | 'not'
}

export function confusion(): readonly Row[] {
  return Object.entries(SERVERS).flatMap(([server, words]) =>
    BOXES.map((box): Row => {
      const diagnosis = diagnose(probed(words, box.policy))
      return { server, box, diagnosis, named: namedIn(diagnosis, box) }
    }),
  )
}

export function namedIn({ suspects: [first] }: Diagnosis, { name }: Box): Row['named'] {
  if (first?.name === name && first.alike.length === 0) return 'first'
  return first?.name === name || first?.alike.includes(name) ? 'among' : 'not'
}
