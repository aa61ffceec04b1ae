/** Files as texts, also in a browser: Vite's \`?raw\`. */
declare module "*?raw" {
  const text: string;
  export default text;
}
