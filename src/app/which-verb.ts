import type { LabFiles } from './lab.ts'
import type { Story, Telling } from './story.ts'
export const WHICH_VERB = 'which-verb'
export const WhichVerb: { begin(files: LabFiles, telling: Telling): Promise<Story> } = {
  begin: async () => {
    throw new Error('not yet')
  },
}
