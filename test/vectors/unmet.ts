/** Vectors that are not met yet, and what is missing. Each is played all the same, and must go from here once it holds. */
export const UNMET: ReadonlyMap<string, string> = new Map()
