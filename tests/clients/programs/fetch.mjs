// Posts each of the bodies to a URL with fetch, and prints status and body.
const [url, ...bodies] = process.argv.slice(2);
for (const body of bodies) {
  const headers = { "Content-Type": "application/json" };
  const response = await fetch(url, { method: "POST", headers, body });
  let text = "";
  for await (const part of response.body.pipeThrough(new TextDecoderStream())) text += part;
  console.log(response.status);
  console.log(text.replaceAll("\n", "\u001e"));
}
