/** The default of a `switch` over `kind`: the compiler refuses the call while a kind is left out. */
export function unreachable(value: never): never {
  throw new Error(`postern is wrong here: no case for ${JSON.stringify(value)}; please report it`)
}
