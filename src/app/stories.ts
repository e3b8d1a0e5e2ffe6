import { CASE_STUDIES, CaseStudy } from './case-study.ts'
import { FOUR_SITES, FourSites } from './four-sites.ts'
import type { LabFiles } from './lab.ts'
import type { Story, Telling } from './story.ts'
import { WHICH_VERB, WhichVerb } from './which-verb.ts'

type Begin = (files: LabFiles, telling: Telling) => Promise<Story>

/** The stories, by the name of the laboratory they are told in. */
export const STORIES: ReadonlyMap<string, Begin> = new Map<string, Begin>([
  ...CASE_STUDIES.map(name => [name, CaseStudy.begin] as const),
  [FOUR_SITES, FourSites.begin],
  [WHICH_VERB, WhichVerb.begin],
])
