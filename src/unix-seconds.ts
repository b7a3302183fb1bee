/** Whole Unix seconds of Unix milliseconds: stores have milliseconds, and the wire and the command line have seconds. */
export const toUnixSeconds = (milliseconds: number): number => Math.floor(milliseconds / 1000)
