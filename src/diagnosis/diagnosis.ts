/** The answer: what was altered, who did it, where, what suffers, and what to do. Everything that is printed comes from it. */
import { type Loss, lossesOf } from '../firewall/losses.ts'
import { type Alteration, alterationsIn, type Grade, surest } from './alteration.ts'
import { aroundOf, type Cure, checksOf, curesOf } from './cure.ts'
import type { Location } from './locate.ts'
import { codeOf, inClear, type Observation, offersOf, textsOf, verbOf } from './observation.ts'
import { type Signed, signaturesOf } from './signatures/signature.ts'
import { type Suspect, suspect } from './suspect.ts'

/** `unclear`: too little was heard, or what was heard has other explanations as well. */
export type Outcome = 'clean' | 'altered' | 'unclear'

export interface Diagnosis {
  readonly outcome: Outcome
  readonly target: string
  readonly vantage: string
  readonly alterations: readonly Alteration[]
  readonly suspects: readonly Suspect[]
  readonly location?: Location
  readonly losses: readonly Loss[]
  readonly cures: readonly Cure[]
  readonly around: readonly string[]
  readonly checks: readonly string[]
  /** What is worth knowing and accuses nobody. */
  readonly remarks: readonly string[]
}

/** What is known beyond the one observation. */
export interface Circumstances {
  /** Found by another comparison: in the place of what shows at this end alone. */
  readonly alterations?: readonly Alteration[]
  readonly suspects?: readonly Suspect[]
  readonly location?: Location | undefined
  readonly remarks?: readonly string[]
}

export function diagnose(observation: Observation, known: Circumstances = {}): Diagnosis {
  const signed = signaturesOf(observation)
  const seen = known.alterations ?? alterationsIn(observation)
  // Whoever names itself and stands in the server's place is an alteration of everything.
  const named = seen.length > 0 || known.alterations ? [] : signed.flatMap(standsBetween)
  const suspicion = suspect(observation, [...seen, ...named])
  const { alterations } = suspicion
  const found = known.suspects ?? suspicion.suspects
  const suspects = found.length > 0 ? found : configured(known.location, alterations)
  const grade = surest(alterations.map(each => each.grade))
  const remarks = [...(known.remarks ?? []), ...remarksOn(observation, signed), ...observation.notes]
  const isKnown = known.alterations !== undefined || wasHeard(observation)
  const outcome = outcomeOf(grade, isKnown)
  return {
    outcome,
    target: observation.target,
    vantage: observation.vantage,
    alterations,
    suspects,
    ...(known.location && { location: known.location }),
    losses: lossesFrom(alterations),
    cures: curesOf(suspects, alterations),
    around: alterations.length > 0 ? aroundOf(alterations) : [],
    checks: alterations.length > 0 ? checksOf(suspects) : [],
    remarks,
  }
}

/** Where nobody shows who it is, but the configuration of the place is known, that is who. */
function configured(location: Location | undefined, alterations: readonly Alteration[]): readonly Suspect[] {
  const [place, ...more] = location?.places ?? []
  if (!place?.by || more.length > 0) return []
  const { policy } = place.by
  const vendor = /^WatchGuard/.test(policy) ? 'watchguard' : 'other'
  const explains = alterations.map((_, i) => i)
  return [
    {
      id: policy,
      name: policy,
      vendor,
      grade: 'likely',
      explains,
      leaves: [],
      by: 'configuration',
      alike: [],
      marks: [],
    },
  ]
}

function outcomeOf(grade: Grade | undefined, isKnown: boolean): Outcome {
  if (grade === 'proven' || grade === 'likely') return 'altered'
  return grade === 'possible' || !isKnown ? 'unclear' : 'clean'
}

/** Was enough heard to call a way clean: a greeting, and an answer to EHLO or HELO? */
export function wasHeard(observation: Observation): boolean {
  const isGreeted = observation.exchanges.some(each => each.said === '' && codeOf(each) === 220)
  const hello = inClear(observation, 'EHLO') ?? inClear(observation, 'HELO')
  return isGreeted && hello !== undefined && codeOf(hello) > 0
}

function standsBetween({ signature, marks }: Signed): readonly Alteration[] {
  if (signature.role !== 'box') return []
  const why = `${signature.name} answers in the server's place: ${marks.join('; ')}`
  const grade = marks.length >= 2 || signature.isUnmistakable ? 'likely' : 'possible'
  return [{ kind: 'greeting', subject: '', toward: 'client', after: marks.join('; '), grade, why }]
}

function remarksOn(observation: Observation, signed: readonly Signed[]): readonly string[] {
  const remarks = signed
    .filter(({ signature }) => signature.role !== 'box')
    .map(({ signature: { name, does }, marks }) => `it looks like ${name} (${marks.join('; ')}): ${does}`)
  const greeting = observation.exchanges.find(each => each.said === '')
  const ehlo = inClear(observation, 'EHLO')
  if (greeting && codeOf(greeting) >= 400) remarks.push(`the server turns us away: ${greeting.heard.join(' ')}`)
  if (ehlo && codeOf(ehlo) >= 500) remarks.push('EHLO is refused: to a client there are no extensions, and no TLS')
  if (ehlo && codeOf(ehlo) === 250) {
    const offered = offersOf(ehlo).map(line => (line.split(/[ =]/, 1)[0] ?? '').toUpperCase())
    if (offered.length === 0) remarks.push('no extension is offered: a plain server, or one that got HELO')
    else if (!offered.includes('STARTTLS'))
      remarks.push('STARTTLS is not offered. That alone accuses nobody: many servers have none')
  }
  const names = [greeting, ehlo].flatMap(each => (each && codeOf(each) < 300 ? [nameIn(textsOf(each)[0] ?? '')] : []))
  const [a, b] = names
  if (a !== undefined && b !== undefined && a !== b && a.includes('.') && b.includes('.')) {
    remarks.push(`the greeting calls the server ${a}, the reply to EHLO ${b}: two names may be two machines`)
  }
  const slow = observation.exchanges.find(({ took = 0, said }) => said !== '' && took > 10_000)
  if (slow) remarks.push(`an answer to ${verbOf(slow)} took ${Math.round((slow.took ?? 0) / 1000)} s`)
  return remarks
}

function nameIn(text: string): string {
  return text.trim().split(/\s/, 1)[0]?.toLowerCase() ?? ''
}

/** What suffers, each said once. */
function lossesFrom(alterations: readonly Alteration[]): readonly Loss[] {
  const losses = alterations.flatMap(({ kind, subject, candidates = [] }): readonly Loss[] => {
    switch (kind) {
      case 'greeting':
        return lossesOf('greeting', 'greeting')
      case 'keyword-masked':
        return (candidates.length > 0 ? candidates.slice(0, 3) : [subject]).flatMap(each => lossesOf('keyword', each))
      case 'keyword-missing':
        return lossesOf('keyword', subject)
      case 'verb':
      case 'refused':
        return lossesOf('command', subject)
      case 'fragment':
        return lossesOf('fragment', 'fragment')
      default:
        return []
    }
  })
  return [...new Map(losses.map(loss => [loss.subject, loss])).values()]
}
