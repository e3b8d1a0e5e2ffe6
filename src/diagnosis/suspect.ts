/** Who did it: every box we can run is tried, and those that would have done just this are suspects. */
import type { Alteration, Grade } from './alteration.ts'
import { BOXES, type Box, type Vendor } from './box.ts'
import { type Trial, tryBox } from './experiment.ts'
import type { Observation } from './observation.ts'
import { type Signature, signaturesOf } from './signatures/signature.ts'

export interface Suspect {
  readonly id: string
  readonly name: string
  readonly vendor: Vendor | string
  readonly grade: Grade
  /** What it explains, and what it leaves unexplained, by index into the alterations. */
  readonly explains: readonly number[]
  readonly leaves: readonly number[]
  /** How we know: its policy was run, its marks were found, or the configuration at that place says so. */
  readonly by: 'experiment' | 'signature' | 'configuration'
  /** Others whom the same evidence fits as well. */
  readonly alike: readonly string[]
  /** What was heard that speaks for it, for a signature. */
  readonly marks: readonly string[]
}

export interface Suspicion {
  /** The likeliest first. Empty where nothing is altered, or nobody we know would have done just this. */
  readonly suspects: readonly Suspect[]
  /** The same alterations, with those keywords left that the likeliest suspect would have masked. */
  readonly alterations: readonly Alteration[]
}

export function suspect(observation: Observation, alterations: readonly Alteration[]): Suspicion {
  const tried = tryAll(observation, alterations)
  const groups: Tried[][] = []
  for (const each of tried) {
    const group = groups.find(([first]) => first !== undefined && same(first, each))
    if (group) group.push(each)
    else groups.push([each])
  }
  const found = groups.flatMap(([first, ...others]): readonly Suspect[] => {
    if (!first) return []
    const alike = others.map(({ box }) => box.name)
    return [
      {
        id: first.box.id,
        name: first.box.name,
        vendor: first.box.vendor,
        grade: gradeOf(first, alterations),
        explains: first.explains,
        leaves: first.leaves,
        by: 'experiment',
        alike,
        marks: [],
      },
    ]
  })
  const signed = signaturesOf(observation).map(({ signature, marks }) => bySignature(signature, marks, alterations))
  const strong = signed.filter(({ grade }) => grade !== 'possible')
  const weak = signed.filter(({ grade }) => grade === 'possible')
  const keywords = new Map(tried[0]?.trials.flatMap(trial => [...(trial.keywords ?? [])]))
  return {
    suspects: undominated([...strong, ...found, ...weak]),
    alterations: alterations.map(each => narrowed(each, keywords.get(each.after))),
  }
}

function narrowed(alteration: Alteration, fitting: readonly string[] | undefined): Alteration {
  const [first] = fitting ?? []
  if (alteration.kind !== 'keyword-masked' || alteration.before !== undefined || first === undefined) return alteration
  return { ...alteration, subject: first.split(/[ =]/, 1)[0] ?? first, candidates: fitting ?? [] }
}

/** Without those that explain nothing which a likelier one does not: there may be two boxes, but not for nothing. */
function undominated(suspects: readonly Suspect[]): readonly Suspect[] {
  const explained = new Set<number>()
  return suspects.filter(({ explains }, i) => {
    const isNew = i === 0 || explains.some(each => !explained.has(each))
    for (const each of explains) explained.add(each)
    return isNew
  })
}

interface Tried {
  readonly box: Box
  readonly trials: readonly Trial[]
  readonly explains: readonly number[]
  readonly leaves: readonly number[]
}

function tryAll(observation: Observation, alterations: readonly Alteration[]): readonly Tried[] {
  if (alterations.length === 0) return []
  const tried = BOXES.flatMap((box): readonly Tried[] => {
    const trials = tryBox(box.policy, observation)
    if (trials.some(({ against }) => against !== undefined)) return []
    const touched = new Set(trials.filter(each => each.touched).map(({ at }) => at))
    const explains: number[] = []
    const leaves: number[] = []
    for (const [i, { at, kind }] of alterations.entries()) {
      // A list that lost a line did so to somebody who takes lines away; none that we run in place does.
      const isHis = at !== undefined && touched.has(at) && kind !== 'keyword-missing'
      ;(isHis ? explains : leaves).push(i)
    }
    return explains.length > 0 ? [{ box, trials, explains, leaves }] : []
  })
  return tried.toSorted((a, b) => b.explains.length - a.explains.length || a.box.oddities - b.box.oddities)
}

function same(a: Tried, b: Tried): boolean {
  return a.explains.length === b.explains.length && a.explains.every((each, i) => each === b.explains[i])
}

function gradeOf({ explains, leaves }: Tried, alterations: readonly Alteration[]): Grade {
  const kinds = new Set(explains.map(i => alterations[i]?.kind))
  const isSure = explains.some(i => alterations[i]?.grade !== 'possible')
  return isSure && leaves.length === 0 && kinds.size >= 2 ? 'likely' : 'possible'
}

function bySignature(signature: Signature, marks: readonly string[], alterations: readonly Alteration[]): Suspect {
  const { id, name, vendor, explains: kinds } = signature
  const explains = alterations.flatMap(({ kind }, i) => (kinds.includes(kind) ? [i] : []))
  return {
    id,
    name,
    vendor,
    grade: marks.length >= 2 || signature.isUnmistakable ? 'likely' : 'possible',
    explains,
    leaves: alterations.flatMap((_, i) => (explains.includes(i) ? [] : [i])),
    by: 'signature',
    alike: [],
    marks,
  }
}
