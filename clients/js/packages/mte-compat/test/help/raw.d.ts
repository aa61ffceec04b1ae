/** Files as strings, also in a browser: Vite's \`?raw\`. */
declare module "*?raw" {
  const text: string;
  export default text;
}
