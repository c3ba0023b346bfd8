// Emotions of the faces in an image, in a React component; add @mien/web and react to your project, and copy
// node_modules/@mien/web/dist/models to the files that it serves under /models/.
import { Mien, type Face } from "@mien/web";
import { useEffect, useRef, useState } from "react";

export function Emotions({ image }: { image: Blob }) {
  const mien = useRef<Promise<Mien>>(undefined);
  const [faces, setFaces] = useState<Face[]>([]);

  useEffect(() => {
    let isCurrent = true;
    mien.current ??= Mien.load({ models: "/models/" });
    mien.current.then((loaded) => loaded.analyze(image)).then((result) => {
      if (isCurrent) setFaces(result.faces);
    });
    return () => { isCurrent = false; };
  }, [image]);

  return (
    <ul>
      {faces.map(({ box, emotion }) => (
        <li key={box.join()}>{emotion.top} {Math.round(100 * emotion.confidence)} %</li>
      ))}
    </ul>
  );
}
