// Loaded once by every host, so that the first TypeScript of a run finds the compiler warm.
const warm: number = 1;
export default warm;
