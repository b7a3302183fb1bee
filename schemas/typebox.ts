// Import TypeBox from here. `npm run build` puts its 300 modules into this one, because loading them took a sixth of a start
// (docs/decisions/0015-bundled-libraries.md).
export * from 'typebox'
